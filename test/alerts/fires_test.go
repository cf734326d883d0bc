// SPDX-License-Identifier: Apache-2.0

package alerts_test

import (
	"context"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// series is a metric that had one value for the last two days, or until it ended.
type series struct {
	labels []string
	value  float64
	ended  time.Time
}

func (s series) until(ended time.Time) series { s.ended = ended; return s }

func condition(tenant, kind string, value float64) series {
	return series{labels: []string{model.MetricNameLabel, "freehold_tenant_condition", "tenant", tenant, "type", kind}, value: value}
}

// figure is a timestamp of a destination, some time ago.
func figure(name, tenant, destination string, ago time.Duration) series {
	return series{labels: []string{model.MetricNameLabel, "freehold_backup_" + name + "_timestamp_seconds", "tenant", tenant, "destination", destination},
		value: float64(now.Add(-ago).Unix())}
}

// none is a timestamp of something that has never been.
func none(name, tenant, destination string) series {
	none := figure(name, tenant, destination, 0)
	none.value = 0
	return none
}

const day = 24 * time.Hour

// tenant is one that is well and backed up to site-a, but for what changes say: they take the place of series with
// the same labels.
func tenant(name string, changes ...series) []series {
	all := []series{
		condition(name, "Available", 1), condition(name, "BackedUp", 1), condition(name, "PointInTimeRecoverable", 1),
		condition(name, "Recoverable", 1), condition(name, "Retained", 1),
		figure("last_success", name, "site-a", 20*time.Hour), figure("recoverable_until", name, "site-a", 5*time.Minute),
		figure("last_verified", name, "site-a", 29*day),
	}
	for _, change := range changes {
		same := func(s series) bool { return slices.Equal(s.labels, change.labels) }
		all = append(slices.DeleteFunc(all, same), change)
	}
	return all
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	suspended := tenant("acme", condition("acme", "Available", 0), figure("last_success", "acme", "site-a", 90*day),
		figure("recoverable_until", "acme", "site-a", 90*day), figure("last_verified", "acme", "site-a", 200*day))
	for name, c := range map[string]struct {
		world []series
		fires []string
	}{
		"all is well":                                   {tenant("acme"), nil},
		"one of two is not backed up":                   {slices.Concat(tenant("acme"), tenant("globex", condition("globex", "BackedUp", 0))), []string{"FreeholdNotBackedUp globex"}},
		"nobody knows whether it is backed up":          {tenant("acme", condition("acme", "BackedUp", -1)), []string{"FreeholdNotBackedUp acme"}},
		"a key is rotated since yesterday":              {tenant("acme", figure("rotation_started", "acme", "site-a", day)), nil},
		"no key is being rotated":                       {tenant("acme", none("rotation_started", "acme", "site-a")), nil},
		"a rotation does not end":                       {tenant("acme", figure("rotation_started", "acme", "site-a", 3*day)), []string{"FreeholdKeyRotationSlow acme site-a"}},
		"the archive is behind":                         {tenant("acme", condition("acme", "PointInTimeRecoverable", 0)), []string{"FreeholdNotPointInTimeRecoverable acme"}},
		"the proof is stale":                            {tenant("acme", condition("acme", "Recoverable", -1)), []string{"FreeholdNotRecoverable acme"}},
		"backups are missing":                           {tenant("acme", condition("acme", "Retained", 0)), []string{"FreeholdNotRetained acme"}},
		"conditions stand still, and backups grow old":  {tenant("acme", figure("last_success", "acme", "site-a", 49*time.Hour)), []string{"FreeholdBackupOld acme site-a"}},
		"conditions stand still, and the archive does":  {tenant("acme", figure("recoverable_until", "acme", "site-a", 3*time.Hour)), []string{"FreeholdArchiveOld acme site-a"}},
		"conditions stand still, and nothing is proven": {tenant("acme", figure("last_verified", "acme", "site-a", 161*day)), []string{"FreeholdVerificationOld acme site-a"}},
		"a suspended tenant writes nothing":             {suspended, nil},
		"no metrics at all":                             {nil, []string{"FreeholdMetricsAbsent"}},
		"a policy, and no backup ever": {tenant("acme", none("last_success", "acme", "site-a"), none("recoverable_until", "acme", "site-a"), none("last_verified", "acme", "site-a")),
			[]string{"FreeholdNoBackupEver acme"}},
		"a policy, and no figures":  {[]series{condition("acme", "Available", 1), condition("acme", "BackedUp", 1)}, []string{"FreeholdNoBackupEver acme"}},
		"a destination that is new": {tenant("acme", none("last_success", "acme", "site-b"), none("recoverable_until", "acme", "site-b"), none("last_verified", "acme", "site-b")), nil},
		"a tenant without policy":   {slices.Concat(tenant("acme"), []series{condition("globex", "Available", 1)}), []string{"FreeholdTenantWithoutPolicy globex"}},
		"a destination that is no longer spoken of": {tenant("acme", figure("last_success", "acme", "site-b", 30*time.Hour).until(now.Add(-time.Hour))),
			[]string{"FreeholdDestinationGone acme site-b"}},
		"a tenant that is gone takes its destinations along": {slices.Concat(tenant("acme"), ended(tenant("globex"), now.Add(-time.Hour))), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var fired []string
			for alert, rule := range alerts(t) {
				for _, found := range evaluate(t, rule.Expr, c.world) {
					text := alert
					for _, label := range []string{"tenant", "destination"} {
						if value := found.Metric.Get(label); value != "" {
							text += " " + value
						}
					}
					fired = append(fired, text)
				}
			}
			if sort.Strings(fired); !slices.Equal(fired, c.fires) {
				t.Errorf("fires %v, should %v", fired, c.fires)
			}
		})
	}
}

func ended(all []series, when time.Time) []series {
	for i := range all {
		all[i].ended = when
	}
	return all
}

func evaluate(t *testing.T, expression string, world []series) promql.Vector {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: promQL})
	query, err := engine.NewInstantQuery(t.Context(), memory(world), nil, expression, now)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(vector)
}

// memory is a store of series.
type memory []series

func (m memory) Querier(int64, int64) (storage.Querier, error) { return querier{world: m}, nil }

type querier struct {
	storage.LabelQuerier
	world []series
}

func (q querier) Close() error { return nil }

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, s := range q.world {
		named := labels.FromStrings(s.labels...)
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(named.Get(m.Name)) }) {
			found = append(found, storage.NewListSeries(named, s.samples()))
		}
	}
	return &set{found: found, at: -1}
}

func (s series) samples() []chunks.Sample {
	var all []chunks.Sample
	for at := now.Add(-2 * day); !at.After(now) && (s.ended.IsZero() || at.Before(s.ended)); at = at.Add(time.Minute) {
		all = append(all, sample{at.UnixMilli(), s.value})
	}
	return all
}

type set struct {
	found []storage.Series
	at    int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.found) }
func (s *set) At() storage.Series                { return s.found[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// sample is one value of a series.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
