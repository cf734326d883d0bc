// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/test/apiserver"
)

// Metrics name every customer: nobody reads them without a token that the API server knows and lets read them.
func TestMetricsAreReadWithAGrantedTokenOnly(t *testing.T) {
	config, stop, err := apiserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	address := serveMetrics(t, config)
	world, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, token string
		status      int
	}{
		{"without a token", "", http.StatusUnauthorized},
		// controller-runtime's word for a token that the API server cannot read.
		{"with a made-up token", "eyJhbGciOiJub25lIn0.e30.", http.StatusInternalServerError},
		{"with the token of an account that was granted nothing", token(t, world, "stranger"), http.StatusForbidden},
		{"with the token of an account that is bound to the role", reader(t, world), http.StatusOK},
	} {
		status, body := askMetrics(t, address, row.token)
		if status != row.status {
			t.Errorf("%s the answer is %d instead of %d: %.200s", row.name, status, row.status, body)
		}
		if shown := strings.Contains(body, "# HELP"); shown != (row.status == http.StatusOK) {
			t.Errorf("%s metrics are shown: %v", row.name, shown)
		}
	}
	if answer, err := http.Get("http://" + address + "/metrics"); err == nil {
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusBadRequest { // Go's words for "this port speaks TLS".
			t.Errorf("without TLS the answer is %s", answer.Status)
		}
	}
}

// serveMetrics starts the manager with its default settings, but no controllers, and returns where its metrics are.
func serveMetrics(t *testing.T, config *rest.Config) string {
	t.Helper()
	address := freeAddress(t)
	mgr, err := newManager(config, parse(t, "--metrics-bind-address="+address, "--health-probe-bind-address=0"), "freehold-system")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return false, nil //nolint:nilerr // Not listening yet.
		}
		return true, connection.Close()
	})
	if err != nil {
		t.Fatalf("the metrics are not served: %v", err)
	}
	return address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func askMetrics(t *testing.T, address, token string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// The certificate is self-signed and made at start.
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // See above.
	answer, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// token makes a service account and a token of it.
func token(t *testing.T, world client.Client, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	if err := world.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{}
	if err := world.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// reader is the token of an account that is bound to the role which both ways of installation bring.
func reader(t *testing.T, world client.Client) string {
	t.Helper()
	text, err := os.ReadFile("config/rbac/metrics_reader_role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "prometheus", Namespace: "default"}},
	}
	for _, object := range []client.Object{role, binding} {
		if err := world.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return token(t, world, "prometheus")
}
