// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"fmt"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// escrow is what somebody needs, beside a repository, to bring an instance back after its cluster is lost: the Secrets
// that the operator keeps of it, as a YAML list for kubectl apply.
type escrow struct {
	content    []byte
	recipients []v1alpha1.AgeRecipient
}

// loadEscrow reads the instance's own keys, and puts them beside those of its backups; nil without recipients.
func (r *Reconciler) loadEscrow(ctx context.Context, s *scope, keys *corev1.Secret) (*escrow, error) {
	recipients := s.observed.policy.Spec.KeyEscrow.Recipients
	if len(recipients) == 0 {
		return nil, nil
	}
	instance := &corev1.Secret{}
	key := types.NamespacedName{Namespace: r.options.OperatorNamespace, Name: meta.EscrowSecret(s.instanceID)}
	if err := r.api.Get(ctx, key, instance); err != nil {
		return nil, fmt.Errorf("reading the escrow %s, which goes to the destinations for those who hold the offline keys: %w", key, err)
	}
	content, err := secretsAsYAML(instance, keys)
	if err != nil {
		return nil, err
	}
	return &escrow{content: content, recipients: recipients}, nil
}

// secretsAsYAML is a List without anything that only holds in this cluster.
func secretsAsYAML(secrets ...*corev1.Secret) ([]byte, error) {
	items := make([]corev1.Secret, 0, len(secrets))
	for _, s := range secrets {
		items = append(items, corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: s.Labels},
			Type:       s.Type, Data: s.Data,
		})
	}
	raw, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return nil, fmt.Errorf("writing the keys for the escrow: %w", err)
	}
	return raw, nil
}

// seal encrypts the content so that the holder of any one of the private keys can read it.
func (e *escrow) seal() ([]byte, error) {
	var to []age.Recipient
	for _, text := range e.recipients {
		recipient, err := age.ParseX25519Recipient(string(text))
		if err != nil {
			return nil, fmt.Errorf("keyEscrow.recipients: %q is no public key of age: %w", text, err)
		}
		to = append(to, recipient)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, fmt.Errorf("encrypting the keys for the escrow: %w", err)
	}
	if _, err := w.Write(e.content); err != nil {
		return nil, fmt.Errorf("encrypting the keys for the escrow: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypting the keys for the escrow: %w", err)
	}
	return out.Bytes(), nil
}
