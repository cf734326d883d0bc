// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/pki"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// wantedSecret is one Secret as it shall be.
type wantedSecret struct {
	name   string
	kind   corev1.SecretType
	labels map[string]string
	// keys that its data has.
	keys []string
	// madeFrom is the keyed hash of what it is made from.
	madeFrom string
	// content makes the data; live is the Secret as it is, or nil. A certificate that is still good is kept.
	content func(live *corev1.Secret) (secretContent, error)
}

type secretContent struct {
	data        map[string][]byte
	annotations map[string]string
}

// wantedSecrets lists all Secrets of an instance.
func (r *Reconciler) wantedSecrets(ctx context.Context, s *scope, safe *escrow, changed bool) ([]wantedSecret, error) {
	fixed := []struct {
		name, component string
		kind            corev1.SecretType
		data            map[string][]byte
	}{
		{meta.CASecret, "authority", corev1.SecretTypeTLS, map[string][]byte{meta.KeyTLSCert: safe.authority.CertPEM, meta.KeyTLSKey: safe.authority.KeyPEM}},
		{meta.CredentialsSecret, meta.ComponentDatabase, corev1.SecretTypeOpaque, credentials(s, safe)},
		{meta.GeneratedSecret, meta.ComponentApp, corev1.SecretTypeOpaque, bytesOf(safe.generated)},
	}
	var wanted []wantedSecret
	for _, f := range fixed {
		if len(f.data) == 0 {
			continue
		}
		want, err := fixedSecret(s, safe, f.name, f.component, f.kind, f.data)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, want)
	}
	for _, leaf := range render.Certificates(s.inputs) {
		want, err := leafSecret(s, safe, leaf)
		if err == nil && leaf.Secret == meta.EdgeTLSSecret {
			want, err = r.edgeSecret(ctx, s, safe, want, changed)
		}
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, want)
	}
	return wanted, nil
}

// fixedSecret holds values that follow from the escrow alone.
func fixedSecret(s *scope, safe *escrow, name, component string, kind corev1.SecretType, data map[string][]byte) (wantedSecret, error) {
	hash, err := safe.hash(name, data)
	return wantedSecret{
		name: name, kind: kind, labels: meta.Labels(s.name, s.instanceID, component),
		keys: slices.Sorted(maps.Keys(data)), madeFrom: hash,
		content: func(*corev1.Secret) (secretContent, error) { return secretContent{data: data}, nil },
	}, err
}

// leafSecret holds a certificate of the tenant's own authority. One that is still good is kept.
func leafSecret(s *scope, safe *escrow, leaf render.Leaf) (wantedSecret, error) {
	madeFrom := []any{leaf.Secret, leaf.DNSNames, safe.authority.Fingerprint()}
	if leaf.Life > 0 {
		madeFrom = append(madeFrom, leaf.Life)
	}
	if leaf.Client {
		madeFrom = append(madeFrom, leaf.CommonName)
	}
	hash, err := safe.hash(madeFrom...)
	names := pki.Leaf{CommonName: leaf.CommonName, DNSNames: leaf.DNSNames, Client: leaf.Client, Life: leaf.Life}
	return wantedSecret{
		name: leaf.Secret, kind: corev1.SecretTypeTLS, labels: meta.Labels(s.name, s.instanceID, componentOf(leaf.Secret)),
		keys: tlsKeys(), madeFrom: hash,
		content: func(live *corev1.Secret) (secretContent, error) {
			if live != nil {
				if pair := pairOf(live); safe.authority.Issued(pair, names, s.now) {
					return leafContent(pair, names, s.now)
				}
			}
			pair, err := safe.authority.Issue(names, s.now)
			if err != nil {
				return secretContent{}, err
			}
			return leafContent(pair, names, s.now)
		},
	}, err
}

// leafContent is the data of a Secret with a certificate of the tenant's own authority.
func leafContent(pair pki.Pair, leaf pki.Leaf, now time.Time) (secretContent, error) {
	cert, err := leaf.Validate(pair, now)
	if err != nil {
		return secretContent{}, fmt.Errorf("a certificate from %s: %w", meta.SourceAuthority, err)
	}
	content := certificateContent(pair, cert, meta.SourceAuthority)
	content.annotations[meta.AnnotationRenewAt] = pki.RenewAt(cert).UTC().Format(time.RFC3339)
	return content, nil
}

// tlsContent is the data of a Secret with a server's certificate from outside.
func tlsContent(pair pki.Pair, source string, now time.Time) (secretContent, error) {
	cert, err := pki.Validate(pair, nil, now)
	if err != nil {
		return secretContent{}, fmt.Errorf("a certificate from %s: %w", source, err)
	}
	return certificateContent(pair, cert, source), nil
}

// certificateContent adds what the audit wants to know of a certificate.
func certificateContent(pair pki.Pair, cert *x509.Certificate, source string) secretContent {
	return secretContent{
		data: map[string][]byte{meta.KeyTLSCert: pair.CertPEM, meta.KeyTLSKey: pair.KeyPEM},
		annotations: map[string]string{
			meta.AnnotationSource:   source,
			meta.AnnotationNotAfter: cert.NotAfter.UTC().Format(time.RFC3339),
		},
	}
}

func tlsKeys() []string { return []string{meta.KeyTLSCert, meta.KeyTLSKey} }

func pairOf(secret *corev1.Secret) pki.Pair {
	return pki.Pair{CertPEM: secret.Data[meta.KeyTLSCert], KeyPEM: secret.Data[meta.KeyTLSKey]}
}

func componentOf(secret string) string {
	return map[string]string{
		meta.DatabaseTLSSecret:   meta.ComponentDatabase,
		meta.AppTLSSecret:        meta.ComponentApp,
		meta.EdgeTLSSecret:       meta.ComponentEdge,
		meta.BackupTLSSecret:     meta.ComponentBackup,
		meta.ArchiveTLSSecret:    meta.ComponentBackup,
		meta.RepositoryTLSSecret: meta.ComponentRepository,
	}[secret]
}

// credentials tell the application, and the database's agent, how to connect.
func credentials(s *scope, safe *escrow) map[string][]byte {
	host := meta.DatabaseHost(s.namespace, s.inputs.Facts.ClusterDomain)
	port := strconv.Itoa(meta.PortDatabase)
	uri := url.URL{
		Scheme: "postgres", User: url.UserPassword(safe.names.user, safe.password),
		Host: host + ":" + port, Path: "/" + safe.names.database,
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {meta.TrustDir + "/" + meta.KeyCACert}}.Encode(),
	}
	return map[string][]byte{
		meta.KeyDatabaseURL:      []byte(uri.String()),
		meta.KeyDatabaseHost:     []byte(host),
		meta.KeyDatabasePort:     []byte(port),
		meta.KeyDatabaseName:     []byte(safe.names.database),
		meta.KeyDatabaseUser:     []byte(safe.names.user),
		meta.KeyDatabasePassword: []byte(safe.password),
	}
}

func bytesOf(values map[string]string) map[string][]byte {
	out := make(map[string][]byte, len(values))
	for key, value := range values {
		out[key] = []byte(value)
	}
	return out
}

// intact judges a Secret by its metadata alone: our labels and our hash are on it, its certificate need not be renewed,
// we still own every key, and nobody else owns anything beside them.
func intact(seen *metav1.PartialObjectMetadata, want wantedSecret, now time.Time) (bool, error) {
	if seen.DeletionTimestamp != nil || seen.Annotations[meta.AnnotationMadeFrom] != want.madeFrom {
		return false, nil
	}
	for key, value := range want.labels {
		if seen.Labels[key] != value {
			return false, nil
		}
	}
	if renew, ok := seen.Annotations[meta.AnnotationRenewAt]; ok {
		// A mark that cannot be read is the zero time, long past.
		if at, _ := time.Parse(time.RFC3339, renew); !now.Before(at) {
			return false, nil
		}
	}
	return untouched(seen.ManagedFields, want.keys)
}

// untouched reports whether we own all keys of a Secret, and others nothing but metadata.
func untouched(entries []metav1.ManagedFieldsEntry, keys []string) (bool, error) {
	own := fieldpath.NewSet()
	for _, entry := range entries {
		if entry.FieldsV1 == nil {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return false, fmt.Errorf("reading the managed fields of %s: %w", entry.Manager, err)
		}
		if entry.Manager == meta.FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply {
			own = set
			continue
		}
		if !set.WithPrefix(element("data")).Empty() {
			return false, nil
		}
	}
	for _, key := range keys {
		if !own.Has(fieldpath.MakePathOrDie("data", key)) {
			return false, nil
		}
	}
	return true, nil
}

func element(field string) fieldpath.PathElement { return fieldpath.PathElement{FieldName: &field} }
