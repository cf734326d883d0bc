// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// parseGenerations reads keyGenerations; of an instance whose keys were never rotated there is nothing.
func parseGenerations(data map[string][]byte) (map[string]generations, error) {
	all := map[string]generations{}
	if raw := data[meta.KeyGenerations]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, fmt.Errorf("%s in the Secret of the backups' keys is no list of generations: %w", meta.KeyGenerations, err)
		}
	}
	return all, nil
}

// encodeGenerations writes it; nil if there is nothing to write.
func encodeGenerations(all map[string]generations) []byte {
	all = maps.Clone(all)
	maps.DeleteFunc(all, func(_ string, g generations) bool { return g.trivial() })
	if len(all) == 0 {
		return nil
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err) // Numbers, texts and times always encode.
	}
	return raw
}

// readGenerations reads, once, what stands beside the keys.
func (r *Reconciler) readGenerations(ctx context.Context, s *scope) error {
	if s.memory.generations != nil {
		return nil
	}
	keys := &corev1.Secret{}
	if err := get(ctx, r.api, r.keysSecret(s), &keys); err != nil {
		return err
	}
	if keys == nil {
		keys = &corev1.Secret{}
	}
	all, err := parseGenerations(keys.Data)
	if err != nil {
		return err
	}
	s.memory.generations, s.memory.token = all, string(keys.Data[meta.KeyStatusToken])
	return nil
}

// readAnew notices that somebody else wrote beside the keys: who brought them back from an escrow.
func (s *scope) readAnew(keys *corev1.Secret) error {
	all, err := parseGenerations(keys.Data)
	if err == nil && !bytes.Equal(encodeGenerations(all), encodeGenerations(s.memory.generations)) {
		s.memory.generations, s.rotated = all, true
		s.comeBack(time.Second)
	}
	return err
}

// takeGenerations begins a destination with its generations. What the status says of another one than the current is of no
// use: then what was known when that was gone over to counts.
func (s *scope) takeGenerations(d *destination) {
	known, ok := s.memory.generations[d.name]
	if !ok {
		known.Current = max(d.status.Generation, 1)
	}
	if d.status.Generation > known.Current {
		known, d.outdated = generations{Current: d.status.Generation}, true // What stands beside the keys was brought back from before.
	}
	d.generations = known.clone()
	if d.status.Generation == known.Current {
		return
	}
	if opened := d.generations.Opened; opened != nil {
		conditions, lost := d.status.Conditions, d.status.Generation == 0
		d.status = *opened.DeepCopy()
		d.status.Name, d.status.Conditions = d.spec.Name, conditions
		if lost { // What expired since is not known: the next backup reads what there is.
			d.status.RecoverableFrom, d.status.RecoverableUntil, d.status.Backups, d.status.FullBackups = nil, nil, nil, nil
		}
		delete(s.memory.until, d.name)
		delete(s.memory.unproven, d.name)
	}
	d.status.Generation = known.Current
}

// clone shares nothing with g.
func (g generations) clone() generations {
	if g.Opened != nil {
		g.Opened = g.Opened.DeepCopy()
	}
	if g.Next != nil {
		next := *g.Next
		next.Status = *g.Next.Status.DeepCopy()
		g.Next = &next
	}
	g.Retired = slices.Clone(g.Retired)
	for i := range g.Retired {
		g.Retired[i].Status = *g.Retired[i].Status.DeepCopy()
	}
	return g
}

// keepGenerations writes beside the keys what this pass found out or decided. The keys of generations that are no more go
// in the same write.
func (r *Reconciler) keepGenerations(ctx context.Context, s *scope) error {
	next := s.nextGenerations()
	raw := encodeGenerations(next)
	if s.rotated || bytes.Equal(raw, encodeGenerations(s.memory.generations)) {
		return nil // Or somebody else wrote there: it is found out and decided again.
	}
	keys := &corev1.Secret{}
	if err := r.api.Get(ctx, r.keysSecret(s), keys); err != nil {
		return fmt.Errorf("reading the keys of backups %s: %w", r.keysSecret(s), err)
	}
	if err := s.readAnew(keys); err != nil {
		return err
	}
	if s.rotated {
		return fmt.Errorf("%s in Secret %s is not as it was left; what was decided is decided again", meta.KeyGenerations, r.keysSecret(s))
	}
	for _, key := range outlivedKeys(s.memory.generations, next) {
		delete(keys.Data, key)
	}
	keys.Data[meta.KeyGenerations] = raw
	if err := r.client.Update(ctx, keys, client.FieldOwner(meta.FieldOwner)); err != nil { // The resourceVersion lets a concurrent writer win.
		return fmt.Errorf("writing beside the keys of backups %s: %w", r.keysSecret(s), err)
	}
	s.memory.generations, s.rotated = next, true
	s.comeBack(time.Second)
	return nil
}

// nextGenerations are those of all destinations as this pass leaves them.
func (s *scope) nextGenerations() map[string]generations {
	next := maps.Clone(s.memory.generations)
	for _, d := range s.destinations {
		if d.outdated {
			continue // Nothing is written over what is not understood.
		}
		next[d.name] = d.generations.clone()
	}
	for name, g := range next {
		if n := g.Next; s.destination(name) == nil && n != nil && n.archivedTo() {
			g = g.clone() // It is archived to no more: should it come back, it begins anew.
			g.Next = &generation{Number: n.Number, Begun: n.Begun, Since: s.now, Stage: stageMaking}
			next[name] = g
		}
	}
	return next
}

// outlivedKeys are the keys of retired generations that were destroyed.
func outlivedKeys(before, after map[string]generations) []string {
	var keys []string
	for name, g := range before {
		for _, old := range g.Retired {
			stays := slices.ContainsFunc(after[name].Retired, func(n generation) bool { return n.Number == old.Number })
			if !stays {
				keys = append(keys, passphraseKey(name, old.Number))
			}
		}
	}
	return keys
}

// honourAtOnce notes the request that a destination begins with: a first key is not rotated for what was asked before it
// was made.
func honourAtOnce(keys *corev1.Secret, s *scope, missing []string) error {
	request := s.tenant.Annotations[v1alpha1.AnnotationRotateBackupKeys]
	all, err := parseGenerations(keys.Data)
	if err != nil || request == "" {
		return err
	}
	for _, d := range s.destinations {
		if _, known := all[d.name]; !known && slices.Contains(missing, passphraseKey(d.name, 1)) {
			all[d.name] = generations{Current: 1, Honoured: request}
			d.generations = all[d.name].clone()
			s.memory.generations = all
		}
	}
	if raw := encodeGenerations(all); raw != nil {
		if keys.Data == nil {
			keys.Data = map[string][]byte{}
		}
		keys.Data[meta.KeyGenerations] = raw
	}
	return nil
}

// generationsHeld is what the Secrets depend on.
func (d *destination) generationsHeld() any {
	if d.generations.Next == nil && len(d.generations.Retired) == 0 {
		return d.status.Generation
	}
	held := []string{strconv.Itoa(int(d.status.Generation))}
	if n := d.generations.Next; n != nil {
		held = append(held, fmt.Sprintf("next %d, archived to: %t", n.Number, n.archivedTo()))
	}
	for _, old := range d.generations.Retired {
		held = append(held, fmt.Sprintf("retired %d", old.Number))
	}
	return held
}

// other is a repository of a destination beside its current one.
type other struct {
	engine.Repository
	retired, archivedTo bool
}

// others are the repositories of a destination beside the current one. A retired one whose key is lost cannot be configured
// anew; one that is prepared is not gone over to without. at is the place of the destination among all.
func (d *destination) others(at int, like engine.Repository, keys *corev1.Secret) []other {
	var all []other
	add := func(n generation, o other) {
		o.Repository = like
		o.Generation, o.Number = n.Number, engine.NumberOf(at, n.Number)
		o.Passphrase = string(keys.Data[passphraseKey(d.name, n.Number)])
		switch {
		case o.Passphrase == "" && !o.retired:
			return
		case o.Passphrase == "":
			o.Credentials = nil
		}
		all = append(all, o)
	}
	if n := d.generations.Next; n != nil {
		add(*n, other{archivedTo: n.archivedTo()})
	}
	for _, n := range d.generations.Retired {
		add(n, other{retired: true})
	}
	return all
}

// makeRetiredSecret makes the Secret that is restored with from retired generations, and removes it once there are none.
func (r *Reconciler) makeRetiredSecret(ctx context.Context, s *scope, wanted []engine.Repository, keys *corev1.Secret) error {
	key := client.ObjectKey{Namespace: s.namespace, Name: meta.BackupRetiredSecret}
	expected, rotated := 0, false
	for _, d := range s.destinations {
		expected, rotated = expected+len(d.generations.Retired), rotated || d.generations.Current > 1
	}
	if expected == 0 && rotated {
		return r.removeRetiredSecret(ctx, key)
	}
	retired, err := r.configurable(ctx, s, key, wanted)
	if err != nil || len(retired) == 0 {
		return err
	}
	data, err := engine.Files(engine.PodArchive, retired, engine.Database{})
	if err != nil {
		return fmt.Errorf("configuring the restores from retired generations of Tenant %s: %w", s.name, err)
	}
	ofFiles, err := engine.ApplicationFiles(retired)
	if err != nil {
		return fmt.Errorf("configuring the restores of application data from retired generations of Tenant %s: %w", s.name, err)
	}
	destinations := data[meta.KeyDestinations]
	maps.Copy(data, ofFiles)
	data[meta.KeyDestinations] = destinations
	annotations := map[string]string{meta.AnnotationMadeFrom: keyed(keys.Data[meta.KeyStatusToken], data)}
	return r.writeSecret(ctx, s, key, wantedSecret{data: data, annotations: annotations})
}

func (r *Reconciler) removeRetiredSecret(ctx context.Context, key client.ObjectKey) error {
	live := &corev1.Secret{}
	if err := get(ctx, r.api, key, &live); err != nil || live == nil || live.Labels[v1alpha1.LabelInstance] == "" {
		return err
	}
	if err := r.client.Delete(ctx, live, client.Preconditions{UID: &live.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing Secret %s, whose keys are no more: %w", key, err)
	}
	return nil
}
