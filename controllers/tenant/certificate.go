// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/pki"
)

// certificateKind is cert-manager's Certificate. cert-manager need not be installed, so it is neither cached nor
// watched: it is looked at with the Secrets.
var certificateKind = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}

// certificateSource is the Secret that the gate's certificate is copied from; SourceAuthority if the tenant's own
// authority makes it.
func certificateSource(s *scope) string {
	if s.objects.Certificate != nil {
		return meta.EdgeIssuedSecret
	}
	if ref := s.tenant.Spec.TLS.SecretRef; ref != nil {
		return ref.Name
	}
	return meta.SourceAuthority
}

// edgeSecret is the Secret with the certificate that the gate serves. own is the one that the tenant's own authority
// would make. A source that is bad leaves the last good certificate in place.
func (r *Reconciler) edgeSecret(ctx context.Context, s *scope, safe *escrow, own wantedSecret, changed bool) (wantedSecret, error) {
	if err := r.requestCertificate(ctx, s, changed); err != nil {
		if s.objects.Certificate == nil {
			return own, err
		}
		s.requestFailed(err)
	}
	source := certificateSource(s)
	if source == meta.SourceAuthority {
		return own, nil
	}
	given := &corev1.Secret{}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: source}, given)
	if apierrors.IsNotFound(err) {
		s.sourceMissing(source)
		return r.lastGood(ctx, s, own)
	}
	if err != nil {
		return own, fmt.Errorf("reading the certificate in Secret %s/%s: %w", s.namespace, source, err)
	}
	pair := pairOf(given)
	if _, err := pki.Validate(pair, hostnames(s.wanted), s.now); err != nil {
		s.certificate.invalid = invalidCertificate(s, source, err.Error())
		return r.lastGood(ctx, s, own)
	}
	return copiedSecret(s, safe, own, source, pair)
}

// requestFailed notes that cert-manager could not be asked for a certificate. The gate goes on with the one it has, and
// so does the pass: an instance does not wait for cert-manager. The next audit asks again.
func (s *scope) requestFailed(err error) {
	if stalled := asStall(err); stalled != nil {
		invalid := *stalled
		invalid.retry = externalAuditInterval
		s.certificate.invalid = &invalid
		return
	}
	s.certificate.pending = fmt.Sprintf("cert-manager could not be asked for a certificate (%v): it is tried again; meanwhile the gate serves another certificate", err)
}

// sourceMissing says why there is no certificate yet: cert-manager may still be at work, a user's Secret is a mistake.
// Where asking for it failed, that is said already.
func (s *scope) sourceMissing(source string) {
	if s.certificate.invalid != nil || s.certificate.pending != "" {
		return
	}
	if s.objects.Certificate != nil {
		s.certificate.pending = fmt.Sprintf("cert-manager has not issued Certificate %s/%s yet; meanwhile the gate serves another certificate", s.namespace, meta.EdgeCertificate)
		return
	}
	s.certificate.invalid = invalidCertificate(s, source, "there is no such Secret")
}

func invalidCertificate(s *scope, source, why string) *stallError {
	invalid := stall(v1alpha1.ReasonCertificateInvalid, "the certificate in Secret %s/%s cannot be served: %s; the gate goes on with the one it has", s.namespace, source, why)
	invalid.retry = externalAuditInterval
	return invalid
}

// copiedSecret is the gate's Secret with a certificate that was found good.
func copiedSecret(s *scope, safe *escrow, own wantedSecret, source string, pair pki.Pair) (wantedSecret, error) {
	hash, err := safe.hash(own.name, source, pair.CertPEM, pair.KeyPEM)
	if err != nil {
		return own, err
	}
	own.madeFrom = hash
	own.content = func(*corev1.Secret) (secretContent, error) { return tlsContent(pair, source, s.now) }
	return own, nil
}

// lastGood keeps a certificate from outside that the gate serves already; without one, the gate serves own.
func (r *Reconciler) lastGood(ctx context.Context, s *scope, own wantedSecret) (wantedSecret, error) {
	served := &corev1.Secret{}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: own.name}, served)
	if apierrors.IsNotFound(err) {
		return own, nil
	}
	if err != nil {
		return own, fmt.Errorf("reading the certificate that the gate serves: %w", err)
	}
	source := served.Annotations[meta.AnnotationSource]
	if source == "" || source == meta.SourceAuthority || !apply.AppliedByUs(served) {
		return own, nil
	}
	content, err := tlsContent(pairOf(served), source, s.now)
	if err != nil {
		return own, nil //nolint:nilerr // What is served is broken too: the own authority's certificate is better.
	}
	own.madeFrom = served.Annotations[meta.AnnotationMadeFrom]
	own.content = func(*corev1.Secret) (secretContent, error) { return content, nil }
	return own, nil
}

// requestCertificate makes cert-manager's Certificate be as wanted, or go away once no issuer is named any more.
func (r *Reconciler) requestCertificate(ctx context.Context, s *scope, changed bool) error {
	want := s.objects.Certificate
	if want == nil && !changed {
		return nil
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(certificateKind)
	err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: meta.EdgeCertificate}, live)
	switch {
	case apimeta.IsNoMatchError(err) && want != nil:
		return stall(v1alpha1.ReasonInvalidSpec, "an issuer is named, but cert-manager is not installed in this cluster: install it, or remove tls.issuerRef from the Tenant and its class")
	case apimeta.IsNoMatchError(err):
		return nil
	case apierrors.IsNotFound(err):
		live = nil
	case err != nil:
		return fmt.Errorf("reading Certificate %s/%s: %w", s.namespace, meta.EdgeCertificate, err)
	}
	if want == nil {
		return r.withdrawCertificate(ctx, s, live)
	}
	_, err = do(ctx, r, s, apply.ForeignKind(want), live, apply.Foreign{Unstructured: want})
	return err
}

func (r *Reconciler) withdrawCertificate(ctx context.Context, s *scope, live *unstructured.Unstructured) error {
	if live == nil || live.GetLabels()[v1alpha1.LabelInstance] != s.instanceID {
		return nil
	}
	return r.remove(ctx, s, live, certificateKind.Kind)
}
