// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// owned are the conditions of this package.
var owned = []string{v1alpha1.ConditionBackedUp, v1alpha1.ConditionPointInTimeRecoverable, v1alpha1.ConditionRecoverable, v1alpha1.ConditionRetained}

// verdict is what a condition shall say.
type verdict struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

func yes(reason, format string, args ...any) verdict {
	return verdict{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

func no(reason, format string, args ...any) verdict {
	return verdict{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

func unknown(reason, format string, args ...any) verdict {
	return verdict{metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...)}
}

// facts is all that the conditions of a destination are decided from.
type facts struct {
	name   string
	now    time.Time
	policy v1alpha1.BackupPolicySpec
	// shared says that several tenants use the same credentials.
	shared bool
	// volume says that the destination is a volume of this cluster, elsewhere that another destination is not.
	volume, elsewhere bool
	// skipsFiles says that the application's data, which is backed up elsewhere, is not backed up to it.
	skipsFiles bool
	// wrong is why the destination cannot be worked with, and why as a reason.
	wrong       error
	wrongReason string
	// aside is how the destination was set aside.
	aside aside
	// uprooted is since when no backup belongs to what is archived; zero if one does.
	uprooted time.Time
	// asideInterval lies between two attempts to archive to it again.
	asideInterval time.Duration
	// suspended says that the instance is suspended or stopped for a restore, archiver that the running revision has one.
	suspended bool
	archiver  bool
	status    v1alpha1.DestinationStatus
	// files says that the application's data is backed up, too.
	files bool
	// retired are the destination's generations that are not backed up to any more.
	retired []generation
	// lostClaim is the application's volume claim, if it mounts one that is missing and is to be backed up.
	lostClaim string
	// failure is what the last attempt to back up failed with, attempt when; empty if it did not fail.
	failure string
	attempt time.Time
	// archive is the archiver's word; nil if it has none. podNow is the time of the pod's clock now.
	archive *engine.ArchiveReport
	podNow  time.Time
	// last is the archiver's last word, however old it is; nil if it has none.
	last *engine.ArchiveReport
	// silent is since when the archiver does not answer; zero if it does, or was not asked. why says what was met.
	silent time.Time
	why    string
	// until is the last moment that is known to be archived.
	until time.Time
	// acknowledged is until when a person has seen what is missing; zero if nobody has.
	acknowledged time.Time
	// read is when what the destination holds was last read: by a base backup, or, while none are made, by an expiry.
	read time.Time
	// backupSeen and proofSeen are results that came just now; nil if none did.
	backupSeen, proofSeen *resultSeen
}

// judge fills scope.next: what the status shall say.
func judge(s *scope) {
	s.next = v1alpha1.TenantStatus{Conditions: ownConditions(s.tenant.Status.Conditions)}
	if s.observed.policy == nil {
		s.next.Backups = s.tenant.Status.Backups.DeepCopy()
		for _, kind := range owned {
			set(&s.next.Conditions, kind, no(v1alpha1.ReasonPolicyNotFound,
				"spec.backupPolicyRef names BackupPolicy %s, which does not exist: make it, or name another one; until then the write-ahead log waits on the database's volume unless it was configured before",
				s.tenant.Spec.BackupPolicyRef.Name), s)
		}
		return
	}
	s.next.Backups = &v1alpha1.TenantBackups{}
	parts := map[string][]part{}
	for _, d := range s.destinations {
		d.trim()
		f := s.factsOf(d)
		s.memory.until[d.name] = f.until
		if d.status.LastBackup != nil { // The log alone restores nothing.
			d.status.RecoverableUntil = timeOf(f.until)
		}
		for kind, v := range f.verdicts() {
			if v.reason == v1alpha1.ReasonBackupsMissing && !repeats(d.status.Conditions, kind, v) {
				apimeta.RemoveStatusCondition(&d.status.Conditions, kind) // So that it tells since when they are missing.
			}
			set(&d.status.Conditions, kind, v, s)
			parts[kind] = append(parts[kind], part{d.name, v})
		}
		s.tellGenerations(d)
		s.next.Backups.Destinations = append(s.next.Backups.Destinations, d.status)
	}
	for _, kind := range owned {
		set(&s.next.Conditions, kind, worst(parts[kind]), s)
	}
	widest(s.next.Backups)
}

// verdicts are the conditions of a destination.
func (f facts) verdicts() map[string]verdict {
	return map[string]verdict{
		v1alpha1.ConditionBackedUp:               f.filesBackedUp(f.backedUp()),
		v1alpha1.ConditionPointInTimeRecoverable: f.pointInTime(),
		v1alpha1.ConditionRecoverable:            f.filesRecoverable(f.recoverable()),
		v1alpha1.ConditionRetained:               f.retained(),
	}
}

// repeats reports whether a condition says the same already.
func repeats(all []metav1.Condition, kind string, v verdict) bool {
	c := apimeta.FindStatusCondition(all, kind)
	return c != nil && c.Status == v.status && c.Reason == v.reason && c.Message == v.message
}

// good reports whether the verdict is True.
func (v verdict) good() bool { return v.status == metav1.ConditionTrue }

func set(into *[]metav1.Condition, kind string, v verdict, s *scope) {
	conditions.Set(into, metav1.Condition{Type: kind, Status: v.status, Reason: v.reason, Message: v.message, ObservedGeneration: s.tenant.Generation}, s.now)
}

func ownConditions(all []metav1.Condition) []metav1.Condition {
	var out []metav1.Condition
	for _, kind := range owned {
		if c := apimeta.FindStatusCondition(all, kind); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// factsOf gathers what is known of a destination.
func (s *scope) factsOf(d *destination) facts {
	f := facts{
		name: d.name, now: s.now, policy: s.observed.policy.Spec, shared: d.spec.Credentials.AllowShared,
		wrong: d.wrong, wrongReason: wrongReason(d.wrong),
		suspended: s.tenant.Spec.Suspended || s.stoppedFor() != "",
		archiver:  s.observed.database == nil || archives(&s.observed.database.Spec.Template),
		files:     s.backsUpFilesTo(d),
		volume:    d.spec.Volume != nil, elsewhere: s.elsewhere(),
		skipsFiles: s.backsUpFiles() && !s.backsUpFilesTo(d),
		retired:    d.generations.Retired,
		aside:      d.aside, uprooted: d.uprooted, asideInterval: s.asideInterval, status: d.status, silent: s.memory.silent, why: s.memory.why, archive: s.report.of(d), last: s.memory.report.of(d), until: s.until(d), backupSeen: d.backupSeen, proofSeen: d.proofSeen,
	}
	if engine.KeepsFiles(d.spec) {
		f.lostClaim = s.lostClaim()
	}
	f.acknowledged = s.acknowledged()
	if f.read = timeIn(d.status.LastBackup); s.expiry(d).read.After(f.read) {
		f.read = s.expiry(d).read
	}
	if s.report != nil {
		f.podNow = s.podNow()
	}
	if d.newest != nil {
		if c := apimeta.FindStatusCondition(d.newest.Status.Conditions, v1alpha1.ConditionComplete); c.Reason == v1alpha1.ReasonFailed {
			f.failure, f.attempt = c.Message, c.LastTransitionTime.Time
		}
	}
	return f
}

// acknowledged is until when a person has seen what is missing. What is no time, or still to come, acknowledges nothing.
func (s *scope) acknowledged() time.Time {
	seen, err := time.Parse(time.RFC3339, s.tenant.Annotations[v1alpha1.AnnotationMissingBackupsSeen])
	if err != nil || seen.After(s.now.Add(clocksDiffer)) {
		return time.Time{}
	}
	return seen
}

// elsewhere reports whether the policy has a destination that is not a volume of this cluster.
func (s *scope) elsewhere() bool {
	return slices.ContainsFunc(s.destinations, func(d *destination) bool { return d.spec.Volume == nil })
}

// clocksDiffer is by how much the clocks of two nodes may.
const clocksDiffer = time.Minute

// until is the latest moment that a destination is known to hold. A backup's pod has another clock than the database's: a
// moment that is still to come is none that anything is known of.
func (s *scope) until(d *destination) time.Time {
	now := s.now
	if s.report != nil {
		now = s.podNow()
	}
	known := []time.Time{timeIn(d.status.RecoverableUntil), timeIn(d.status.LastBackup), s.memory.until[d.name]}
	if a := s.report.of(d); a != nil {
		known = append(known, a.Until)
	}
	var until time.Time
	for _, t := range known {
		if t.After(until) && !t.After(now.Add(clocksDiffer)) {
			until = t
		}
	}
	return until
}

// podNow is what the database pod's clock shows now, by its report.
func (s *scope) podNow() time.Time { return s.report.At.Add(s.now.Sub(s.report.received)) }

// part is what one destination contributes to the whole.
type part struct {
	destination string
	verdict     verdict
}

// worst is what a condition says of all destinations: as good as its worst part, naming each that is not as it should be.
func worst(parts []part) verdict {
	rank := map[metav1.ConditionStatus]int{metav1.ConditionTrue: 0, metav1.ConditionUnknown: 1, metav1.ConditionFalse: 2}
	whole := verdict{status: metav1.ConditionTrue}
	var troubled, well []string
	for _, p := range parts {
		if p.verdict.status == metav1.ConditionTrue {
			well = append(well, p.destination+": "+p.verdict.message)
		} else {
			troubled = append(troubled, p.destination+": "+p.verdict.message)
		}
		worse := rank[p.verdict.status] > rank[whole.status]
		// Among those that are well, what is not simply fresh is what people should know.
		noted := p.verdict.status == whole.status && (whole.reason == "" || whole.reason == v1alpha1.ReasonFresh)
		if worse || noted {
			whole.status, whole.reason = p.verdict.status, p.verdict.reason
		}
	}
	whole.message = strings.Join(append(troubled, well...), "; ")
	return whole
}

// widest fills what can be restored from some destination.
func widest(b *v1alpha1.TenantBackups) {
	for _, d := range b.Destinations {
		if from := d.RecoverableFrom; from != nil && (b.RecoverableFrom == nil || from.Before(b.RecoverableFrom)) {
			b.RecoverableFrom = ptr.To(*from)
		}
		for _, old := range d.Retired {
			if from := old.RecoverableFrom; from != nil && (b.RecoverableFrom == nil || from.Before(b.RecoverableFrom)) {
				b.RecoverableFrom = ptr.To(*from)
			}
		}
		if until := d.RecoverableUntil; until != nil && (b.RecoverableUntil == nil || b.RecoverableUntil.Before(until)) {
			b.RecoverableUntil = ptr.To(*until)
		}
	}
}

func timeIn(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
