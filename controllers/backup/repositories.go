// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// repositories are what Secrets are made from: to archive, to back up and remove, and, retired ones, to restore. Those without
// credentials cannot be configured anew, and stay as a Secret has them.
type repositories struct {
	archive, manage, retired []engine.Repository
}

// repositories of all destinations. Why some cannot be configured is noted in the memory.
func (r *Reconciler) repositories(ctx context.Context, s *scope, keys *corev1.Secret) (all repositories, err error) {
	for i, d := range s.destinations {
		if d.outdated {
			continue
		}
		var c credentials
		lost := s.memory.wrong[d.name]
		if lost == nil {
			if c, err = r.loadCredentials(ctx, s, d); err != nil {
				return all, err
			}
		}
		repository := engine.Repository{
			Destination: d.spec, Number: engine.NumberOf(i, d.status.Generation), Generation: d.status.Generation, Tenant: s.name, InstanceID: s.instanceID,
			Passphrase: string(keys.Data[passphraseKey(d.name, d.status.Generation)]),
		}
		from := r.options.OperatorNamespace
		if d.spec.Volume != nil {
			from, repository.Host = s.namespace, meta.RepositoryHost(d.name, s.namespace, r.options.ClusterDomain)
		}
		for _, way := range []struct {
			secret string
			data   map[string][]byte
			into   func(*destination, engine.Repository, []other)
		}{{c.archive, c.archiveData, all.toArchive}, {c.manage, c.manageData, all.toManage}} {
			repository.CredentialsSecret, repository.Credentials = from+"/"+way.secret, way.data
			if lost != nil {
				repository.Credentials = nil
			} else if err := usable(repository); err != nil {
				s.memory.wrong[d.name], repository.Credentials = err, nil
			}
			way.into(d, repository, d.others(i, repository, keys))
		}
	}
	return all, nil
}

// toManage adds the repositories of a destination, under the credentials that may remove.
func (all *repositories) toManage(_ *destination, current engine.Repository, others []other) {
	all.manage = append(all.manage, current)
	for _, o := range others {
		all.manage = append(all.manage, o.Repository)
	}
}

// toArchive adds the repositories of a destination, under the credentials that the database has.
func (all *repositories) toArchive(d *destination, current engine.Repository, others []other) {
	if !d.aside.out() {
		all.archive = append(all.archive, current)
	}
	for _, o := range others {
		switch {
		case o.retired:
			all.retired = append(all.retired, o.Repository)
		case o.archivedTo && !d.aside.out():
			all.archive = append(all.archive, o.Repository)
		}
	}
}

// usable tries whether a repository can be configured.
func usable(r engine.Repository) error {
	if r.Credentials == nil {
		return fmt.Errorf("the credentials of destination %s are missing: there is no Secret %s", r.Destination.Name, r.CredentialsSecret)
	}
	_, err := engine.Files(engine.PodArchive, []engine.Repository{r}, engine.Database{})
	return err
}

// anyOutdated reports whether what stands beside the keys was brought back from before a rotation.
func (s *scope) anyOutdated() bool {
	return slices.ContainsFunc(s.destinations, func(d *destination) bool { return d.outdated })
}

// configurable are the repositories that can be configured, and, of the others, those that a Secret has, as they are in it:
// out of it, the write-ahead log would go on without that destination, and leave a gap there.
func (r *Reconciler) configurable(ctx context.Context, s *scope, key types.NamespacedName, wanted []engine.Repository) ([]engine.Repository, error) {
	if !s.anyOutdated() && !slices.ContainsFunc(wanted, func(w engine.Repository) bool { return w.Credentials == nil }) {
		return wanted, nil
	}
	live := &corev1.Secret{}
	if err := get(ctx, r.api, key, &live); err != nil {
		return nil, err
	}
	var all []engine.Repository
	for _, w := range append(slices.Clone(wanted), s.outdatedIn(live)...) {
		if w.Credentials != nil {
			all = append(all, w)
		} else if live != nil {
			if was, found := w.AsIn(live.Data); found {
				all = append(all, was)
			}
		}
	}
	return all, nil
}

// outdatedIn are the repositories that a Secret has of destinations of which it is not known which ones they have. One that
// is set aside goes all the same.
func (s *scope) outdatedIn(live *corev1.Secret) []engine.Repository {
	var all []engine.Repository
	if live == nil {
		return nil
	}
	known, err := engine.ParseDestinations(live.Data[meta.KeyDestinations])
	if err != nil {
		return nil // What cannot be read is made anew.
	}
	for i, d := range s.destinations {
		for _, k := range known.Destinations {
			if d.outdated && !d.aside.out() && k.Name == d.name {
				all = append(all, engine.Repository{Destination: d.spec, Number: engine.NumberOf(i, k.Generation), Generation: k.Generation})
			}
		}
	}
	return all
}
