// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/pki"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// complete is the escrow's data with what it lacks: first from the tenant's own Secrets, then from the instance that a new
// one is filled from, then made anew; nil if it lacks nothing. Values that a database or an application already works with are never made anew unasked: what they
// encrypted, or whom they trust, hangs on them. Then the error is a stall, and nothing is stored.
func (r *Reconciler) complete(ctx context.Context, s *scope, have map[string][]byte, names []string) (map[string][]byte, error) {
	used := usedValues(s.inputs.Running, names)
	wanted := slices.Concat(names, slices.Collect(maps.Keys(used)))
	if len(lacking(have, wanted)) == 0 {
		return nil, nil
	}
	found, err := r.salvage(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := r.inherit(ctx, s, found); err != nil {
		return nil, err
	}
	data := refill(have, found, wanted)
	lacks := lacking(data, wanted)
	if lost := lostKeys(lacks, used); len(lost) > 0 && s.inputs.Initialized {
		if err := r.acceptNewKeys(ctx, s, lost); err != nil {
			return nil, err
		}
	}
	return data, mint(data, s, lacks)
}

// usedValues are the names of the generated values that the running revision's application is given. While it is not
// known what runs, all that the class asks for count.
func usedValues(running *render.Revision, names []string) map[string]bool {
	used := map[string]bool{}
	if running == nil {
		for _, name := range names {
			used[name] = true
		}
		return used
	}
	for _, name := range generatedIn(running) {
		used[name] = true
	}
	return used
}

// generatedIn are the names of the generated values that a revision's application is given.
func generatedIn(revision *render.Revision) []string {
	spec := revision.App.Spec
	if spec == nil || spec.Template == nil || spec.Template.Spec == nil {
		return nil
	}
	var names []string
	for _, container := range slices.Concat(spec.Template.Spec.InitContainers, spec.Template.Spec.Containers) {
		for _, variable := range container.Env {
			if name := generatedRef(variable); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

func generatedRef(variable corev1ac.EnvVarApplyConfiguration) string {
	if variable.ValueFrom == nil || variable.ValueFrom.SecretKeyRef == nil {
		return ""
	}
	if ref := variable.ValueFrom.SecretKeyRef; ptr.Deref(ref.Name, "") == meta.GeneratedSecret {
		return ptr.Deref(ref.Key, "")
	}
	return ""
}

// lacking are the keys that an escrow does not have, sorted. An authority of which one half is missing or broken counts
// as missing altogether.
func lacking(data map[string][]byte, names []string) []string {
	var keys []string
	if _, err := pki.ParseAuthority(pki.Pair{CertPEM: data[meta.KeyTLSCert], KeyPEM: data[meta.KeyTLSKey]}); err != nil {
		keys = append(keys, meta.KeyTLSCert, meta.KeyTLSKey)
	}
	wanted := []string{meta.KeyEscrowPassword}
	for _, name := range names {
		wanted = append(wanted, meta.EscrowGeneratedPrefix+name)
	}
	for _, key := range wanted {
		if len(data[key]) == 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// refill is an escrow's data with what it lacks from what was found elsewhere. All else that was found is taken too if
// the escrow has no such key: values of which the class no longer knows. An authority is only taken if it agrees with
// the half that is there.
func refill(have, found map[string][]byte, names []string) map[string][]byte {
	data := maps.Clone(found)
	if data == nil {
		data = map[string][]byte{}
	}
	for _, half := range []string{meta.KeyTLSCert, meta.KeyTLSKey} {
		if len(have[half]) > 0 && !bytes.Equal(have[half], found[half]) {
			delete(data, meta.KeyTLSCert)
			delete(data, meta.KeyTLSKey)
		}
	}
	lacks := lacking(have, names)
	for key, value := range have {
		if !slices.Contains(lacks, key) || len(data[key]) == 0 {
			data[key] = value
		}
	}
	return data
}

// lostKeys are those of the missing keys that something already works with.
func lostKeys(lacks []string, used map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(lacks), func(key string) bool {
		name, generated := strings.CutPrefix(key, meta.EscrowGeneratedPrefix)
		return generated && !used[name]
	})
}

// acceptNewKeys is a stall unless a person has accepted that lost values are made anew. The acceptance counts once: it
// is taken away before they are made.
func (r *Reconciler) acceptNewKeys(ctx context.Context, s *scope, lost []string) error {
	before := s.observed.namespace
	if before == nil || before.Annotations[v1alpha1.AnnotationAcceptNewKeys] != s.instanceID {
		return keysLost(r.options.Facts.OperatorNamespace, s, lost)
	}
	after := before.DeepCopy()
	delete(after.Annotations, v1alpha1.AnnotationAcceptNewKeys)
	if err := r.client.Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("taking the annotation %s from namespace %s: %w", v1alpha1.AnnotationAcceptNewKeys, s.namespace, err)
	}
	s.announce("KeysReplaced", "new values were accepted for what was lost: %s", strings.Join(lost, ", "))
	return nil
}

func keysLost(operatorNamespace string, s *scope, lost []string) *stallError {
	stalled := stall(v1alpha1.ReasonKeysLost,
		"Secret %s/%s lacks %s, and the copies in namespace %s (%s) are gone too. The instance works with the lost values, so none are made in their place, and its Secrets are left as they are: restore that Secret, or the copies, from a backup of the cluster. If they are gone for good, accept new ones with: kubectl annotate namespace %s %s=%s",
		operatorNamespace, meta.EscrowSecret(s.instanceID), strings.Join(lost, ", "), s.namespace, strings.Join(copiesOf(lost), ", "),
		s.namespace, v1alpha1.AnnotationAcceptNewKeys, s.instanceID)
	// Secrets are not watched: nobody tells when one is back.
	stalled.retry = conflictRetry
	return stalled
}

// copiesOf are the tenant's Secrets that hold copies of an escrow's keys.
func copiesOf(keys []string) []string {
	var names []string
	for _, key := range keys {
		switch key {
		case meta.KeyTLSCert, meta.KeyTLSKey:
			names = append(names, meta.CASecret)
		case meta.KeyEscrowPassword:
			names = append(names, meta.CredentialsSecret)
		default:
			names = append(names, meta.GeneratedSecret)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// lostKeysIn reports whether an error says that keys are lost.
func lostKeysIn(err error) bool {
	var stalled *stallError
	return errors.As(err, &stalled) && stalled.reason == v1alpha1.ReasonKeysLost
}

// mint makes the values of the given keys and puts them into data.
func mint(data map[string][]byte, s *scope, keys []string) error {
	if slices.Contains(keys, meta.KeyTLSKey) {
		authority, err := pki.NewAuthority(s.instanceID, s.now)
		if err != nil {
			return err
		}
		data[meta.KeyTLSCert], data[meta.KeyTLSKey] = authority.CertPEM, authority.KeyPEM
	}
	for _, key := range keys {
		if key == meta.KeyTLSCert || key == meta.KeyTLSKey {
			continue
		}
		value, err := randomText(rand.Read, valueAlphabet, secretLength)
		if err != nil {
			return err
		}
		data[key] = []byte(value)
	}
	return nil
}
