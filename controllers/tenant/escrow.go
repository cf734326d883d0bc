// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/pki"
)

// secretLength of passwords and generated values: 190 bits.
const secretLength = 32

// escrow is what an instance's Secrets are made from. It is minted once and kept in the operator's namespace; what is
// there is never replaced, only completed; see complete.
type escrow struct {
	authority *pki.Authority
	// names of the database and its owner.
	names databaseNames
	// password of the application's database role.
	password string
	// generated values by name.
	generated map[string]string
}

// loadEscrow reads the escrow and completes it: with all of it for a new instance, with single values when the class
// asks for new ones.
func (r *Reconciler) loadEscrow(ctx context.Context, s *scope, names []string) (*escrow, error) {
	key := types.NamespacedName{Namespace: r.options.Facts.OperatorNamespace, Name: meta.EscrowSecret(s.instanceID)}
	secret := &corev1.Secret{}
	err := r.api.Get(ctx, key, secret)
	exists := err == nil
	switch {
	case apierrors.IsNotFound(err):
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace, Labels: meta.Labels(s.name, s.instanceID, "escrow")}}
		markSource(s, secret)
	case err != nil:
		return nil, fmt.Errorf("reading the escrow %s: %w", key, err)
	}
	if err := confirmSource(s, secret); err != nil {
		return nil, err
	}
	named, err := r.nameEscrow(ctx, s, secret)
	if err != nil {
		return nil, err
	}
	complete, err := r.complete(ctx, s, secret.Data, names)
	if err != nil {
		return nil, fmt.Errorf("completing the escrow %s: %w", key, err)
	}
	if complete != nil || named {
		if complete != nil {
			secret.Data = complete
		}
		if err := r.storeEscrow(ctx, secret, exists); err != nil {
			return nil, err
		}
		s.written = append(s.written, "Secret/"+key.Name)
	}
	return parseEscrow(secret)
}

// storeEscrow creates the escrow or adds to it; the resourceVersion lets a concurrent writer win.
func (r *Reconciler) storeEscrow(ctx context.Context, secret *corev1.Secret, exists bool) error {
	var err error
	if exists {
		err = r.client.Update(ctx, secret, client.FieldOwner(meta.FieldOwner))
	} else {
		err = r.client.Create(ctx, secret, client.FieldOwner(meta.FieldOwner))
	}
	if err != nil {
		return fmt.Errorf("storing the escrow %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

// salvage reads from the tenant's Secrets what an escrow holds.
func (r *Reconciler) salvage(ctx context.Context, s *scope) (map[string][]byte, error) {
	data := map[string][]byte{}
	for name, keys := range map[string]func(string) string{
		meta.CASecret: func(k string) string { return k },
		meta.CredentialsSecret: func(k string) string {
			if k == meta.KeyDatabasePassword {
				return meta.KeyEscrowPassword
			}
			return ""
		},
		meta.GeneratedSecret: func(k string) string { return meta.EscrowGeneratedPrefix + k },
	} {
		found := &corev1.Secret{}
		err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, found)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading Secret %s/%s: %w", s.namespace, name, err)
		}
		for key, value := range found.Data {
			if to := keys(key); to != "" {
				data[to] = value
			}
		}
	}
	if _, err := pki.ParseAuthority(pki.Pair{CertPEM: data[meta.KeyTLSCert], KeyPEM: data[meta.KeyTLSKey]}); err != nil {
		delete(data, meta.KeyTLSCert)
		delete(data, meta.KeyTLSKey)
	}
	return data, nil
}

func parseEscrow(secret *corev1.Secret) (*escrow, error) {
	authority, err := pki.ParseAuthority(pki.Pair{CertPEM: secret.Data[meta.KeyTLSCert], KeyPEM: secret.Data[meta.KeyTLSKey]})
	if err != nil {
		return nil, fmt.Errorf("the escrow %s/%s is damaged: %w", secret.Namespace, secret.Name, err)
	}
	e := &escrow{authority: authority, names: namesIn(secret.Data), password: string(secret.Data[meta.KeyEscrowPassword]), generated: map[string]string{}}
	for key, value := range secret.Data {
		if name, ok := strings.CutPrefix(key, meta.EscrowGeneratedPrefix); ok {
			e.generated[name] = string(value)
		}
	}
	return e, nil
}

// hash of anything that can be written as JSON, keyed with the authority's key: it stands on Secrets where everyone
// who may read metadata sees it, and must not help to guess a password.
func (e *escrow) hash(content ...any) (string, error) {
	raw, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("hashing the content of a Secret: %w", err)
	}
	mac := hmac.New(sha256.New, e.authority.KeyPEM)
	_, _ = mac.Write(raw) // never fails
	return hex.EncodeToString(mac.Sum(nil))[:32], nil
}
