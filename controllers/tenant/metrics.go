// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

var appliesCounter = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "freehold_applies_total",
	Help: "Objects looked at, by kind and what came of it: unmodified (no request), applied, repaired, noop (a request that changed nothing) or failed.",
}, []string{"kind", "result"})

func init() { metrics.Registry.MustRegister(appliesCounter) }

func countApply(name objectName, result apply.Result, err error) {
	label := string(result)
	if err != nil {
		label = "failed"
	}
	appliesCounter.WithLabelValues(name.kind, label).Inc()
}

// observeConditions shows the conditions of a Tenant as metrics.
func observeConditions(s *scope) {
	conditions.Observe(s.name, s.tenant.Status.Conditions, ownedTypes()...)
}

// forgetConditions drops the metrics of a Tenant that is gone.
func forgetConditions(tenant string) { conditions.Forget(tenant, ownedTypes()...) }

func ownedTypes() []string {
	types := make([]string, 0, len(setters))
	for _, setter := range setters {
		types = append(types, setter.condition)
	}
	return types
}
