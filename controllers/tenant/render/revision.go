// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Revision is what may only change with a restart: the workloads with their pod templates, without replicas, and
// the immutable ConfigMaps that the pods mount.
type Revision struct {
	// ConfigMaps are immutable and named after their content, so that two revisions never share one by name
	// that differs.
	ConfigMaps []*corev1ac.ConfigMapApplyConfiguration `json:"configMaps"`
	// Database and App are StatefulSets of one pod each.
	Database *appsv1ac.StatefulSetApplyConfiguration `json:"database"`
	App      *appsv1ac.StatefulSetApplyConfiguration `json:"app"`
	// Edge is the gate's Deployment.
	Edge *appsv1ac.DeploymentApplyConfiguration `json:"edge"`
}

// hashLength is the number of hexadecimal digits of a content hash: 40 bits, among at most some dozens of
// revisions or ConfigMaps of one namespace.
const hashLength = 10

// NewRevision renders what today's Tenant, class and operator would run. The error is an InvalidError when a user
// has to mend something.
func NewRevision(in Inputs) (*Revision, error) {
	if err := checkInputs(in); err != nil {
		return nil, err
	}
	databaseConfig := databaseConfigMap(in)
	edgeConfig := edgeConfigMap(in)
	revision := &Revision{
		ConfigMaps: []*corev1ac.ConfigMapApplyConfiguration{databaseConfig, edgeConfig},
		Database:   database(in, *databaseConfig.Name),
		Edge:       edge(in, *edgeConfig.Name),
	}
	files := ""
	if config := appConfigMap(in); config != nil {
		revision.ConfigMaps = append(revision.ConfigMaps, config)
		files = *config.Name
	}
	revision.App = app(in, files)
	return revision, nil
}

// Encode writes the revision as canonical JSON: the keys of all objects sorted, so that the order of fields in Go
// types does not matter.
func (r *Revision) Encode() ([]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode revision: %w", err)
	}
	return canonical(raw)
}

// Hash identifies the revision's content: ten hexadecimal digits over Encode. Two revisions with the same hash
// make the same workloads.
func (r *Revision) Hash() string {
	raw, err := r.Encode()
	if err != nil {
		// Apply configurations consist of strings, numbers and quantities, which always encode.
		panic(err)
	}
	return contentHash(raw)
}

// DecodeRevision reads what Encode wrote. It refuses content that this version of the operator would not write
// back unchanged, since workloads made from it would not be what was running.
func DecodeRevision(raw []byte) (*Revision, error) {
	revision := &Revision{}
	if err := json.Unmarshal(raw, revision); err != nil {
		return nil, fmt.Errorf("decode revision: %w", err)
	}
	if revision.Database == nil || revision.App == nil || revision.Edge == nil {
		return nil, errors.New("decode revision: database, app or edge is missing")
	}
	want, err := canonical(raw)
	if err != nil {
		return nil, err
	}
	got, err := revision.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(want, got) {
		return nil, errors.New("decode revision: it has fields that this version of the operator does not know; run the version that wrote it, or a newer one")
	}
	return revision, nil
}

// Components are what the revision runs, for the Tenant's status.
func (r *Revision) Components() []v1alpha1.ComponentVersion {
	return []v1alpha1.ComponentVersion{
		{Name: meta.ComponentDatabase, Image: mainImage(r.Database.Spec.Template)},
		{Name: meta.ComponentApp, Image: mainImage(r.App.Spec.Template)},
		{Name: meta.ComponentEdge, Image: mainImage(r.Edge.Spec.Template)},
	}
}

func mainImage(template *corev1ac.PodTemplateSpecApplyConfiguration) string {
	for _, container := range template.Spec.Containers {
		if container.Image != nil {
			return *container.Image
		}
	}
	return ""
}

// canonical rewrites JSON with sorted keys and without white space. Numbers keep their digits.
func canonical(raw []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var content any
	if err := decoder.Decode(&content); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	sorted, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return sorted, nil
}

func contentHash(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:hashLength]
}
