// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// secretsFormat changes when the code makes other content from the same inputs: then every Secret is looked at once.
const secretsFormat = 1

// secretKind is how Secrets are applied. They are read from the API server, one at a time, and only when due.
var secretKind = apply.Kind[*corev1.Secret, *corev1ac.SecretApplyConfiguration]{
	New:     func() *corev1.Secret { return &corev1.Secret{} },
	Extract: corev1ac.ExtractSecret,
}

// secretsHash is the hash of what the Secrets are made from, as far as everybody may know it. It stands on the trust
// ConfigMap; while it agrees, no Secret is read outside the audit.
func secretsHash(s *scope, trust string) (string, error) {
	from := map[string]any{
		"format":    secretsFormat,
		"instance":  s.instanceID,
		"leaves":    render.Certificates(s.inputs),
		"source":    certificateSource(s),
		"generated": generatedNames(s.observed.class),
		"database":  []string{s.names.database, s.names.user},
		"domain":    s.inputs.Facts.ClusterDomain,
		"trust":     trust,
	}
	if source := filledFrom(s); source != "" {
		from["source-instance"] = source // The escrow confirms it before anything else is done.
	}
	raw, err := json.Marshal(from)
	if err != nil {
		return "", fmt.Errorf("hashing what the Secrets are made from: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:32], nil
}

// generatedNames are the names of the random values that a class asks for, sorted, each once.
func generatedNames(class *v1alpha1.TenantClass) []string {
	var names []string
	for _, env := range class.Spec.App.Env {
		if env.Generated != "" {
			names = append(names, env.Generated)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// secrets makes the tenant's Secrets be what they shall, if they have to be looked at. What plan assumed of the trust
// holds otherwise.
func (r *Reconciler) secrets(ctx context.Context, s *scope) error {
	hash, err := secretsHash(s, s.inputs.TrustBundle)
	if err != nil {
		return err
	}
	changed := s.inputs.TrustBundle == "" || s.inputs.SecretsHash != hash
	if changed || s.auditDue {
		if err := r.audit(ctx, s, changed); err != nil {
			// Without lost keys the Secrets stay as they are, and so does all that was planned; but not without the trust.
			if !lostKeysIn(err) || s.inputs.TrustBundle == "" {
				return err
			}
			s.keysLost, s.certificate = true, r.audits.last(s.instanceID)
			s.failed(err)
		}
	} else {
		s.certificate = r.audits.last(s.instanceID)
	}
	if s.certificate.invalid != nil {
		s.failed(s.certificate.invalid)
	}
	if s.certificate.pending != "" {
		s.pending = append(s.pending, s.certificate.pending)
	}
	return nil
}

// audit looks at all Secrets and renders anew what depends on them.
func (r *Reconciler) audit(ctx context.Context, s *scope, changed bool) error {
	safe, err := r.loadEscrow(ctx, s, generatedNames(s.observed.class))
	if err != nil {
		return err
	}
	if err := confirmNames(s, safe); err != nil {
		return err
	}
	if err := r.makeSecrets(ctx, s, safe, changed); err != nil {
		return err
	}
	s.inputs.TrustBundle = string(safe.authority.CertPEM)
	if s.inputs.SecretsHash, err = secretsHash(s, s.inputs.TrustBundle); err != nil {
		return err
	}
	r.audits.done(s.instanceID, s.now, r.auditInterval(s), s.certificate)
	if err := r.renderLive(s); err != nil {
		return err
	}
	return r.guardVolumes(ctx, s)
}

// makeSecrets looks at every Secret and mends what is not as it shall be.
func (r *Reconciler) makeSecrets(ctx context.Context, s *scope, safe *escrow, changed bool) error {
	wanted, err := r.wantedSecrets(ctx, s, safe, changed)
	if err != nil {
		return err
	}
	for _, want := range wanted {
		if err := r.makeSecret(ctx, s, want); err != nil {
			return err
		}
	}
	return nil
}

// makeSecret reads the Secret's metadata, and its content only if the metadata gives reason to.
func (r *Reconciler) makeSecret(ctx context.Context, s *scope, want wantedSecret) error {
	key := types.NamespacedName{Namespace: s.namespace, Name: want.name}
	seen := &metav1.PartialObjectMetadata{}
	seen.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.api.Get(ctx, key, seen)
	if apierrors.IsNotFound(err) {
		return r.writeSecret(ctx, s, want, nil)
	}
	if err != nil {
		return fmt.Errorf("looking at Secret %s: %w", key, err)
	}
	intact, err := intact(seen, want, s.now)
	if err == nil && intact {
		s.serves(want.name, seen.Annotations)
	}
	if err != nil || intact {
		return err
	}
	live := &corev1.Secret{}
	if err := r.api.Get(ctx, key, live); err != nil {
		return fmt.Errorf("reading Secret %s: %w", key, err)
	}
	return r.writeSecret(ctx, s, want, live)
}

func (r *Reconciler) writeSecret(ctx context.Context, s *scope, want wantedSecret, live *corev1.Secret) error {
	content, err := want.content(live)
	if err != nil {
		return err
	}
	annotations := map[string]string{meta.AnnotationMadeFrom: want.madeFrom}
	for key, value := range content.annotations {
		annotations[key] = value
	}
	configuration := corev1ac.Secret(want.name, s.namespace).
		WithLabels(want.labels).
		WithAnnotations(annotations).
		WithType(want.kind).
		WithData(content.data)
	if _, err = do(ctx, r, s, secretKind, live, configuration); err == nil {
		s.serves(want.name, annotations)
	}
	return err
}

// serves notes which certificate the gate serves, by the metadata of its Secret.
func (s *scope) serves(secret string, annotations map[string]string) {
	if secret != meta.EdgeTLSSecret {
		return
	}
	sum := sha256.Sum256([]byte(annotations[meta.AnnotationMadeFrom] + " " + annotations[meta.AnnotationNotAfter]))
	s.inputs.GateCertificate = hex.EncodeToString(sum[:])[:10]
}
