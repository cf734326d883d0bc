// SPDX-License-Identifier: Apache-2.0

// Package install_test proves the two ways to install Freehold, chart and kustomization, on a real API server.
package install_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/test/apiserver"
)

// operatorNamespace is where the kustomization installs the operator.
const operatorNamespace = "freehold-system"

var (
	config *rest.Config
	// admin may do everything.
	admin client.Client
	// The objects of each way, with their default settings.
	chart, kustomization, samples, backedUp []*unstructured.Unstructured
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if chart, err = helm(operatorNamespace); err != nil {
		return 1, err
	}
	if kustomization, err = kustomize("config/default"); err != nil {
		return 1, err
	}
	if samples, err = kustomize("config/samples"); err != nil {
		return 1, err
	}
	if backedUp, err = kustomize("config/samples-backups"); err != nil {
		return 1, err
	}
	var stop func() error
	if config, stop, err = apiserver.Start(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if admin, err = client.New(config, client.Options{Scheme: scheme.Scheme}); err != nil {
		return 1, err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if err := admin.Create(context.Background(), namespace); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// helm renders the chart for a namespace with further arguments.
func helm(namespace string, args ...string) ([]*unstructured.Unstructured, error) {
	program, err := apiserver.Tool("helm", "helm")
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(apiserver.Root(), "charts", "freehold")
	return output(program, append([]string{"template", "any-release", folder, "--namespace", namespace}, args...)...)
}

// kustomize renders a folder of the repository.
func kustomize(folder string) ([]*unstructured.Unstructured, error) {
	program, err := apiserver.Tool("kustomize", "kustomize")
	if err != nil {
		return nil, err
	}
	return output(program, "build", filepath.Join(apiserver.Root(), folder))
}

func output(program string, args ...string) ([]*unstructured.Unstructured, error) {
	var complaint bytes.Buffer
	command := exec.Command(program, args...)
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, complaint.String())
	}
	return decode(bytes.NewReader(out))
}

func decode(documents io.Reader) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(documents, 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// nameOf an object among all others.
func nameOf(o *unstructured.Unstructured) string {
	return strings.TrimSuffix(o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName(), "/")
}
