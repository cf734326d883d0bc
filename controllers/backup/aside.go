// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// A destination that takes nothing keeps PostgreSQL from removing any of its write-ahead log, which would fill the volume
// and stop the customer. Before that it is set aside: the log goes on to the others. It is tried again and again; once it
// takes the log, a full backup begins a new, whole history there.

const (
	// asidePatience is how long a destination may take nothing before it is set aside, if the log is crowded.
	asidePatience = 15 * time.Minute
	// asidePause lies, by default, between two attempts to archive to it again.
	asidePause = 15 * time.Minute
	// asideTrial is how long such an attempt takes until it is known what came of it: the pod has to see its new
	// configuration, and to ask.
	asideTrial = 6 * time.Minute
	// crowdedPercent of its room, which is what the log takes and what is free on its volume, is what the log may take for
	// as long as a destination may be silent; with more than pressingPercent nobody waits: an import writes the rest within
	// minutes.
	crowdedPercent  = 25
	pressingPercent = 50
)

// aside is how a destination was set aside.
type aside struct {
	// Since when it is; zero if it is not.
	Since time.Time `json:"since,omitzero"`
	// Back is when it was archived to again: the log has a gap before it. Zero if it has none.
	Back time.Time `json:"back,omitzero"`
	// Whole is when the first full backup after the gap ended: from then on every moment can be restored.
	Whole time.Time `json:"whole,omitzero"`
}

// out reports whether the destination is set aside now.
func (a aside) out() bool { return !a.Since.IsZero() }

// torn reports whether the destination's history begins anew, and has not done so yet.
func (a aside) torn() bool { return a.out() || !a.Back.IsZero() && a.Whole.IsZero() }

// asideSight is what decides about setting a destination aside.
type asideSight struct {
	now time.Time
	// told says that the archiver speaks of the destination, failing since when it takes nothing; zero if it does.
	told    bool
	failing time.Time
	// crowded and pressing say that the log takes more of its room than it may, others that another destination takes the
	// log.
	crowded, pressing, others bool
	// pause lies between two attempts to archive to it again.
	pause time.Duration
	// whole is when the first full backup ended that began since the destination is back; zero if there is none.
	whole time.Time
	// window is how far back every moment shall be restorable.
	window time.Duration
}

// next is what becomes of it.
func (a aside) next(s asideSight) aside {
	switch {
	case a.out() && s.now.Sub(a.Since) >= s.pause:
		return aside{Back: s.now}
	case a.out():
		return a
	case s.unbearable() || a.torn() && s.stillFails(a.Back):
		return aside{Since: s.now}
	case a.torn():
		a.Whole = s.whole
	case s.now.Sub(a.Whole) > s.window:
		return aside{} // The gap is older than what anybody may want to restore.
	}
	return a
}

// unbearable: the log would fill its volume, and another destination takes it.
func (s asideSight) unbearable() bool {
	patient := s.crowded && s.now.Sub(s.failing) >= asidePatience
	return !s.failing.IsZero() && s.others && (s.pressing || patient)
}

// stillFails: it was tried again, and does not take the log.
func (s asideSight) stillFails(back time.Time) bool {
	return (!s.told || !s.failing.IsZero()) && s.now.Sub(back) >= asideTrial && s.others
}

// parseAsides reads AnnotationSetAside.
func parseAsides(annotations map[string]string) (map[string]aside, error) {
	all := map[string]aside{}
	if text := annotations[meta.AnnotationSetAside]; text != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("the annotation %s of the namespace is no list of destinations: %w", meta.AnnotationSetAside, err)
		}
	}
	return all, nil
}

// setAside decides about all destinations. A change of the namespace brings another pass, which does what was decided.
func (r *Reconciler) setAside(ctx context.Context, s *scope) error {
	if s.report == nil {
		return nil // Nobody knows anything.
	}
	next := maps.Clone(s.asides)
	for name := range next {
		if s.destination(name) == nil {
			delete(next, name)
		}
	}
	for _, d := range s.destinations {
		d.aside = d.aside.next(s.asideSight(d, r.options.AsideInterval))
		if next[d.name] = d.aside; d.aside == (aside{}) {
			delete(next, d.name)
		}
		if d.aside.out() {
			s.comeBack(d.aside.Since.Add(r.options.AsideInterval).Sub(s.now))
		}
	}
	if maps.Equal(next, s.asides) {
		return nil
	}
	return r.rememberAsides(ctx, s, next)
}

func (r *Reconciler) rememberAsides(ctx context.Context, s *scope, all map[string]aside) error {
	raw, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("writing which destinations are set aside: %w", err)
	}
	after := s.observed.namespace.DeepCopy()
	if after.Annotations == nil {
		after.Annotations = map[string]string{}
	}
	after.Annotations[meta.AnnotationSetAside] = string(raw)
	if len(all) == 0 {
		delete(after.Annotations, meta.AnnotationSetAside)
	}
	patch := client.MergeFromWithOptions(s.observed.namespace, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, after, patch, client.FieldOwner(meta.FieldOwner)); err != nil {
		return fmt.Errorf("noting on namespace %s which destinations are set aside: %w", s.namespace, err)
	}
	return nil
}

func (s *scope) asideSight(d *destination, pause time.Duration) asideSight {
	sight := asideSight{
		now: s.now, whole: s.wholeSince(d), window: days(s.observed.policy.Spec.Retention.PointInTimeDays), pause: pause,
		crowded: s.logTakes(crowdedPercent), pressing: s.logTakes(pressingPercent),
	}
	if a := s.report.of(d); a != nil {
		sight.told = true
		if a.Failure != nil {
			sight.failing = a.Since
		}
	}
	for _, other := range s.destinations {
		if a := s.report.of(other); other != d && !other.aside.out() && a != nil && a.Failure == nil && s.podNow().Sub(a.AnsweredAt) <= answerCounts {
			sight.others = true
		}
	}
	return sight
}

// logTakes reports whether the write-ahead log takes more than so much of its room.
func (s *scope) logTakes(percent int64) bool {
	return s.report.WALBytes*100 > (s.report.WALBytes+s.report.WALVolumeFree)*percent
}

// wholeSince is when the first full backup ended that began since the destination is back; zero if there is none.
func (s *scope) wholeSince(d *destination) time.Time {
	var first time.Time
	for _, b := range s.observed.backups {
		ended := timeIn(b.Status.FinishedAt)
		if string(b.Spec.Destination) == d.name && b.Status.Type == v1alpha1.BackupFull && timeIn(b.Status.StartedAt).After(d.aside.Back) &&
			b.Status.Label != "" && (first.IsZero() || ended.Before(first)) {
			first = ended
		}
	}
	return first
}

// takes reports whether the destination takes the log that a backup needs.
func (s *scope) takes(d *destination) bool {
	if !d.aside.torn() {
		return true
	}
	a := s.report.of(d)
	return !d.aside.out() && a != nil && a.Failure == nil && a.AnsweredAt.After(d.aside.Back)
}

// trim takes out of the window what is before a gap.
func (d *destination) trim() {
	switch from := d.status.RecoverableFrom; {
	case d.aside.torn() || !d.uprooted.IsZero() && !timeIn(d.status.LastBackup).After(d.uprooted):
		d.status.RecoverableFrom = nil
	case !d.aside.Whole.IsZero() && (from == nil || from.Time.Before(d.aside.Whole)):
		d.status.RecoverableFrom = timeOf(d.aside.Whole)
	}
}
