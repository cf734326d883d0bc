// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// passphraseBytes of randomness are in a passphrase and in a token.
const passphraseBytes = 32

// passphraseKey is the key, in the Secret of an instance's keys, of a repository's passphrase.
func passphraseKey(destination string, generation int32) string {
	return fmt.Sprintf("%s.g%d", destination, generation)
}

// keysLostError says that a repository holds backups and its key is gone.
type keysLostError struct {
	destination, secret, key string
}

// Error says what to do.
func (e *keysLostError) Error() string {
	return fmt.Sprintf("Secret %s lacks %s, the key of the backups in destination %s: without it they cannot be read by anyone, and none is made in its place; restore that Secret from a backup of the cluster, or from escrow.age in one of the destinations",
		e.secret, e.key, e.destination)
}

// loadKeys reads the Secret with the instance's keys, and adds the keys that are needed and not there yet. What is there
// is never replaced. The destinations whose keys are lost are left out and told in wrong.
func (r *Reconciler) loadKeys(ctx context.Context, s *scope) (*corev1.Secret, map[string]error, error) {
	key := r.keysSecret(s)
	secret := &corev1.Secret{}
	err := r.api.Get(ctx, key, secret)
	exists := err == nil
	if client.IgnoreNotFound(err) != nil {
		return nil, nil, fmt.Errorf("reading the keys of backups %s: %w", key, err)
	}
	if !exists {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace, Labels: meta.Labels(s.name, s.instanceID, "backup-keys")}}
	}
	missing, lost := missingKeys(secret.Data, key.String(), s.destinations)
	if len(missing) == 0 {
		return secret, lost, nil
	}
	if err := honourAtOnce(secret, s, missing); err != nil {
		return nil, nil, err
	}
	return secret, lost, r.addKeys(ctx, secret, exists, missing)
}

func (r *Reconciler) keysSecret(s *scope) types.NamespacedName {
	return types.NamespacedName{Namespace: r.options.OperatorNamespace, Name: meta.BackupKeysSecret(s.instanceID)}
}

// missingKeys are the keys that have to be made, and the errors of those that were lost, by destination: where the status
// says that backups are stored, a new key would only hide that nobody can read them.
func missingKeys(have map[string][]byte, secret string, destinations []*destination) ([]string, map[string]error) {
	var missing []string
	lost := map[string]error{}
	if len(have[meta.KeyStatusToken]) == 0 {
		missing = append(missing, meta.KeyStatusToken)
	}
	for _, d := range destinations {
		key := passphraseKey(d.name, d.status.Generation)
		switch {
		case d.outdated:
			lost[d.name] = &keysLostError{destination: d.name, secret: secret, key: fmt.Sprintf("the newest state of generation %d (%s)", d.status.Generation, key)}
		case len(have[key]) > 0:
		case d.status.LastBackup != nil:
			lost[d.name] = &keysLostError{destination: d.name, secret: secret, key: key}
		default:
			missing = append(missing, key)
		}
		if n := d.generations.Next; n != nil && len(have[passphraseKey(d.name, n.Number)]) == 0 && n.Status.LastBackup == nil {
			missing = append(missing, passphraseKey(d.name, n.Number))
		}
	}
	return missing, lost
}

func (r *Reconciler) addKeys(ctx context.Context, secret *corev1.Secret, exists bool, missing []string) error {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for _, key := range missing {
		secret.Data[key] = []byte(randomText())
	}
	var err error
	if exists {
		err = r.client.Update(ctx, secret, client.FieldOwner(meta.FieldOwner)) // The resourceVersion lets a concurrent writer win.
	} else {
		err = r.client.Create(ctx, secret, client.FieldOwner(meta.FieldOwner))
	}
	if err != nil {
		return fmt.Errorf("storing the keys of backups %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

func randomText() string {
	raw := make([]byte, passphraseBytes)
	_, _ = rand.Read(raw) // Never fails.
	return hex.EncodeToString(raw)
}
