// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// secretsFormat changes when the code makes other content from the same inputs: then every Secret is looked at once.
const secretsFormat = 2

// troubledAudit is how often the Secrets are looked at while something is wrong with them: nothing tells when a person has
// mended it, since Secrets are not watched.
const troubledAudit = 30 * time.Second

const (
	// annotationSecrets on a CronJob is the hash of what the Secrets were made from, as far as everybody may know it. While
	// it agrees, no Secret is read outside the audit.
	annotationSecrets = "freehold.dev/backup-secrets"
	// annotationEscrow on BackupJobSecret is a keyed hash of what its escrow.age was made from: encrypting the same again
	// gives other bytes.
	annotationEscrow = "freehold.dev/escrow-made-from"
)

// secretKind is how Secrets are applied. They are read from the API server, one at a time, and only when due.
var secretKind = apply.Kind[*corev1.Secret, *corev1ac.SecretApplyConfiguration]{
	New:     func() *corev1.Secret { return &corev1.Secret{} },
	Extract: corev1ac.ExtractSecret,
}

// secretsHash is the hash of what the Secrets are made from, as far as everybody may know it.
func (r *Reconciler) secretsHash(s *scope) (string, error) {
	generations, out := map[string]any{}, []string{}
	for _, d := range s.destinations {
		generations[d.name] = d.generationsHeld()
		if d.aside.out() {
			out = append(out, d.name)
		}
	}
	raw, err := json.Marshal(map[string]any{
		"format": secretsFormat, "instance": s.instanceID, "tenant": s.name, "domain": r.options.ClusterDomain,
		"destinations": s.observed.policy.Spec.Destinations, "escrow": s.observed.policy.Spec.KeyEscrow, "generations": generations, "out": out, "files": s.backsUpFiles(),
	})
	if err != nil {
		return "", fmt.Errorf("hashing what the Secrets are made from: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:32], nil
}

// secrets makes the Secrets of backups be what they shall, if they have to be looked at.
func (r *Reconciler) secrets(ctx context.Context, s *scope) error {
	hash, err := r.secretsHash(s)
	if err != nil {
		return err
	}
	if m := s.memory; m.audit.IsZero() {
		m.audit = nextMoment(s.instanceID, s.now, r.options.AuditInterval)
		if r.carriedByCronJobs(s, hash) {
			m.secrets = hash
		}
	}
	if s.memory.secrets != hash || !s.now.Before(s.memory.audit) {
		if err := r.audit(ctx, s, hash); err != nil {
			return err
		}
	} else if s.memory.token == "" {
		keys, _, err := r.loadKeys(ctx, s)
		if err != nil {
			return err
		}
		s.memory.token = string(keys.Data[meta.KeyStatusToken])
	}
	for _, d := range s.destinations {
		d.wrong = s.memory.wrong[d.name]
	}
	s.comeBack(s.memory.audit.Sub(s.now))
	return nil
}

// carriedByCronJobs reports whether every destination's CronJob carries the hash: then the Secrets were made from the same.
func (r *Reconciler) carriedByCronJobs(s *scope, hash string) bool {
	for _, d := range s.destinations {
		live := s.observed.cronJobs[cronJobName(d.name)]
		if live == nil || live.Annotations[annotationSecrets] != hash {
			return false
		}
	}
	return true
}

// audit looks at the Secrets and at what they are made from, and mends what is not as it shall be. What is wrong with one
// destination stops no other.
func (r *Reconciler) audit(ctx context.Context, s *scope, hash string) error {
	keys, lost, err := r.loadKeys(ctx, s)
	if err != nil {
		return err
	}
	s.memory.token, s.memory.wrong = string(keys.Data[meta.KeyStatusToken]), lost
	if err := s.readAnew(keys); err != nil || s.rotated {
		return err
	}
	all, err := r.repositories(ctx, s, keys)
	if err != nil {
		return err
	}
	if s.anyOutdated() {
		// Which repositories there are is not known: the other Secrets may be the only ones that still have them.
		err := r.makeSecret(ctx, s, meta.BackupSecret, engine.PodArchive, all.archive, keys, nil)
		if err == nil {
			r.audited(s, hash)
		}
		return err
	}
	sealed, err := r.loadEscrow(ctx, s, keys)
	if err == nil {
		err = r.makeSecret(ctx, s, meta.BackupJobSecret, engine.PodJob, all.manage, keys, sealed)
	}
	if err := errors.Join(err, r.makeSecret(ctx, s, meta.BackupSecret, engine.PodArchive, all.archive, keys, nil), r.makeFilesSecret(ctx, s, all.archive, keys), r.makeRetiredSecret(ctx, s, all.retired, keys)); err != nil {
		return err
	}
	r.audited(s, hash)
	return nil
}

// audited remembers that the Secrets are as they shall be, and when they are looked at next.
func (r *Reconciler) audited(s *scope, hash string) {
	s.memory.secrets = hash
	s.memory.audit = nextMoment(s.instanceID, s.now, r.options.AuditInterval)
	if len(s.memory.wrong) > 0 {
		s.memory.audit = s.now.Add(min(troubledAudit, r.options.AuditInterval))
	}
}

// makeSecret makes one Secret be what it shall.
func (r *Reconciler) makeSecret(ctx context.Context, s *scope, name string, pod engine.PodKind, wanted []engine.Repository, keys *corev1.Secret, sealed *escrow) error {
	key := types.NamespacedName{Namespace: s.namespace, Name: name}
	repositories, err := r.configurable(ctx, s, key, wanted)
	if err != nil {
		return err
	}
	if len(repositories) == 0 {
		return nil // There is nothing to say yet.
	}
	data, err := engine.Files(pod, repositories, engine.Database{Host: meta.DatabaseHost(s.namespace, r.options.ClusterDomain)})
	if err != nil {
		return fmt.Errorf("configuring the backups of Tenant %s: %w", s.name, err)
	}
	token := keys.Data[meta.KeyStatusToken]
	if pod == engine.PodArchive {
		data[meta.KeyStatusToken] = token
	}
	annotations := map[string]string{}
	if sealed != nil {
		annotations[annotationEscrow] = keyed(token, sealed.content, sealed.recipients)
	}
	annotations[meta.AnnotationMadeFrom] = keyed(token, data, annotations)
	return r.writeSecret(ctx, s, key, wantedSecret{data: data, annotations: annotations, sealed: sealed})
}

// makeFilesSecret makes the Secret that the application's data is verified and restored with, where it is backed up.
func (r *Reconciler) makeFilesSecret(ctx context.Context, s *scope, wanted []engine.Repository, keys *corev1.Secret) error {
	if !s.backsUpFiles() {
		return nil
	}
	key := types.NamespacedName{Namespace: s.namespace, Name: meta.BackupFilesSecret}
	repositories, err := r.configurable(ctx, s, key, wanted)
	if err != nil || len(repositories) == 0 {
		return err
	}
	data, err := engine.ApplicationFiles(repositories)
	if err != nil {
		return fmt.Errorf("configuring the restores of application data of Tenant %s: %w", s.name, err)
	}
	annotations := map[string]string{meta.AnnotationMadeFrom: keyed(keys.Data[meta.KeyStatusToken], data)}
	return r.writeSecret(ctx, s, key, wantedSecret{data: data, annotations: annotations})
}

// wantedSecret is what a Secret shall hold, besides what has to be encrypted for it.
type wantedSecret struct {
	data        map[string][]byte
	annotations map[string]string
	sealed      *escrow
}

// keyed is a hash that does not help anybody to guess what it was made from.
func keyed(key []byte, content ...any) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range content {
		raw, err := json.Marshal(part)
		if err != nil {
			panic(err) // Maps of bytes and texts always encode.
		}
		_, _ = mac.Write(raw) // Never fails.
	}
	return hex.EncodeToString(mac.Sum(nil))[:32]
}

// writeSecret reads the Secret's metadata, and its content only if the metadata gives reason to.
func (r *Reconciler) writeSecret(ctx context.Context, s *scope, key types.NamespacedName, want wantedSecret) error {
	seen := &metav1.PartialObjectMetadata{}
	seen.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := r.api.Get(ctx, key, seen); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("looking at Secret %s: %w", key, err)
	}
	intact, err := want.intact(seen)
	if err != nil || intact {
		return err
	}
	live := &corev1.Secret{}
	if err := get(ctx, r.api, key, &live); err != nil {
		return err
	}
	data := maps.Clone(want.data)
	if want.sealed != nil {
		if data[meta.KeyEscrowFile], err = want.seal(live); err != nil {
			return err
		}
	}
	configuration := corev1ac.Secret(key.Name, key.Namespace).
		WithLabels(meta.Labels(s.name, s.instanceID, meta.ComponentBackup)).
		WithAnnotations(want.annotations).WithType(corev1.SecretTypeOpaque).WithData(data)
	_, err = apply.Do(ctx, r.applier, secretKind, live, configuration)
	return err
}

// intact judges a Secret by its metadata alone.
func (w wantedSecret) intact(seen *metav1.PartialObjectMetadata) (bool, error) {
	if seen.UID == "" || seen.DeletionTimestamp != nil || seen.Labels[v1alpha1.LabelInstance] == "" {
		return false, nil
	}
	for name, value := range w.annotations {
		if seen.Annotations[name] != value {
			return false, nil
		}
	}
	keys := slices.Collect(maps.Keys(w.data))
	if w.sealed != nil {
		keys = append(keys, meta.KeyEscrowFile)
	}
	return apply.Untouched(seen, keys)
}

// seal keeps what is encrypted already, if it is the same.
func (w wantedSecret) seal(live *corev1.Secret) ([]byte, error) {
	if live != nil && live.Annotations[annotationEscrow] == w.annotations[annotationEscrow] && len(live.Data[meta.KeyEscrowFile]) > 0 {
		return live.Data[meta.KeyEscrowFile], nil
	}
	return w.sealed.seal()
}
