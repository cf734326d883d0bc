// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/freehold-dev/freehold/controllers/internal/apply"
)

var (
	conditionGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "freehold_tenant_condition",
		Help: "Conditions of a Tenant: 1 is True, 0 is False or absent, -1 is Unknown.",
	}, []string{"tenant", "type"})
	appliesCounter = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "freehold_applies_total",
		Help: "Objects looked at, by kind and what came of it: unmodified (no request), applied, repaired, noop (a request that changed nothing) or failed.",
	}, []string{"kind", "result"})
)

func init() { metrics.Registry.MustRegister(conditionGauge, appliesCounter) }

func countApply(name objectName, result apply.Result, err error) {
	label := string(result)
	if err != nil {
		label = "failed"
	}
	appliesCounter.WithLabelValues(name.kind, label).Inc()
}

// observeConditions shows the conditions of a Tenant as metrics.
func observeConditions(s *scope) {
	for _, setter := range setters {
		value := 0.0
		for _, c := range s.tenant.Status.Conditions {
			switch {
			case c.Type != setter.condition:
			case c.Status == metav1.ConditionTrue:
				value = 1
			case c.Status == metav1.ConditionUnknown:
				value = -1
			}
		}
		conditionGauge.WithLabelValues(s.name, setter.condition).Set(value)
	}
}

// forgetConditions drops the metrics of a Tenant that is gone.
func forgetConditions(tenant string) {
	conditionGauge.DeletePartialMatch(prometheus.Labels{"tenant": tenant})
}
