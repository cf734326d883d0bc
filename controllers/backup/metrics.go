// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
)

func perDestination(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "freehold_backup_" + name, Help: help}, []string{"tenant", "destination"})
}

var (
	untilTime    = perDestination("recoverable_until_timestamp_seconds", "The latest moment that is known to be restorable from a destination, in seconds since 1970. Alert on its age.")
	fromTime     = perDestination("recoverable_from_timestamp_seconds", "The earliest moment that can be restored from a destination, in seconds since 1970.")
	successTime  = perDestination("last_success_timestamp_seconds", "When the newest base backup of a destination ended, in seconds since 1970; 0 if there is none. Alert on its age.")
	verifiedTime = perDestination("last_verified_timestamp_seconds", "When a backup of a destination was last restored and found good, in seconds since 1970; 0 if never. Alert on its age.")
	snapshotTime = perDestination("last_snapshot_timestamp_seconds", "When the newest snapshot of the application's data in a destination had been made, in seconds since 1970; 0 if there is none. Only of tenants whose application's data is backed up. Alert on its age.")
	rotationTime = perDestination("rotation_started_timestamp_seconds", "When the rotation of the key of a destination began that is under way, in seconds since 1970; 0 if none is. Alert on its age.")
	storedBytes  = perDestination("repository_bytes", "Bytes that the base backups of a tenant take in a destination.")
	storedCount  = perDestination("stored", "Complete base backups of a tenant in a destination.")
	recoverySecs = perDestination("recovery_seconds", "How long the last verification took to restore a tenant's database from a destination, until it answered.")
	walBytes     = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "freehold_backup_wal_bytes",
		Help: "Bytes of write-ahead log on a tenant's database volume. It grows while a destination does not take it."}, []string{"tenant"})
	failureCount = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "freehold_backup_failures_total",
		Help: "Jobs of backups and verifications that failed."}, []string{"tenant", "destination", "job"})
	jobSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "freehold_backup_duration_seconds",
		Help: "How long Jobs of backups and verifications took.", Buckets: []float64{5, 15, 30, 60, 120, 300, 600, 1800, 3600, 10800, 43200}}, []string{"job"})

	ofDestinations = []*prometheus.GaugeVec{untilTime, fromTime, successTime, verifiedTime, snapshotTime, rotationTime, storedBytes, storedCount, recoverySecs}
)

func init() {
	for _, g := range ofDestinations {
		metrics.Registry.MustRegister(g)
	}
	metrics.Registry.MustRegister(walBytes, failureCount, jobSeconds)
}

// showMetrics shows what the status says, and how far the archive is by now.
func showMetrics(s *scope) {
	if s.observed.policy == nil {
		return
	}
	known := map[string]bool{}
	for _, d := range s.destinations {
		known[d.name] = true
		put := func(g *prometheus.GaugeVec, value float64) { g.WithLabelValues(s.name, d.name).Set(value) }
		put(untilTime, seconds(d.status.RecoverableUntil))
		put(fromTime, seconds(d.status.RecoverableFrom))
		put(successTime, seconds(d.status.LastBackup))
		put(verifiedTime, seconds(d.status.LastVerified))
		put(rotationTime, rotationStarted(d.status.Rotation))
		if s.backsUpFilesTo(d) {
			put(snapshotTime, seconds(d.filesStatus().LastSnapshot))
		}
		if d.status.RepositorySize != nil {
			put(storedBytes, d.status.RepositorySize.AsApproximateFloat64())
		}
		if d.status.Backups != nil {
			put(storedCount, float64(*d.status.Backups))
		}
		if d.status.RecoverySeconds != nil {
			put(recoverySecs, float64(*d.status.RecoverySeconds))
		}
	}
	if backups := s.tenant.Status.Backups; backups != nil {
		for _, d := range backups.Destinations {
			if !known[string(d.Name)] {
				hideDestination(s.name, string(d.Name))
			}
		}
	}
	if s.report != nil {
		walBytes.WithLabelValues(s.name).Set(float64(s.report.WALBytes))
	}
}

// rotationStarted is when a rotation that is under way began; 0 if none is, or it waits for that.
func rotationStarted(r *v1alpha1.KeyRotation) float64 {
	if r == nil {
		return 0
	}
	return seconds(r.StartedAt)
}

// seconds since 1970; 0 if there is no such time.
func seconds(t *metav1.Time) float64 {
	if t == nil {
		return 0
	}
	return float64(t.Unix())
}

// observeJob counts a Job that ended.
func observeJob(tenant, destination string, job *batchv1.Job, result engine.Result) {
	kind := job.Labels[v1alpha1.LabelBackupJob]
	if result.Failure != nil {
		failureCount.WithLabelValues(tenant, destination, kind).Inc()
	}
	if job.Status.StartTime != nil {
		jobSeconds.WithLabelValues(kind).Observe(float64(endOf(job).Sub(job.Status.StartTime.Time) / time.Second))
	}
}

func hideDestination(tenant, destination string) {
	labels := prometheus.Labels{"tenant": tenant, "destination": destination}
	for _, g := range ofDestinations {
		g.Delete(labels)
	}
	failureCount.DeletePartialMatch(labels)
}

// hideMetrics drops those of a Tenant that is not backed up any more.
func hideMetrics(tenant string) {
	labels := prometheus.Labels{"tenant": tenant}
	for _, g := range ofDestinations {
		g.DeletePartialMatch(labels)
	}
	walBytes.Delete(labels)
	failureCount.DeletePartialMatch(labels)
}
