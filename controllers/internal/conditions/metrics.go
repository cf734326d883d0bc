// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var gauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "freehold_tenant_condition",
	Help: "Conditions of a Tenant: 1 is True, 0 is False or absent, -1 is Unknown.",
}, []string{"tenant", "type"})

func init() { metrics.Registry.MustRegister(gauge) }

// Observe shows conditions of a Tenant as metrics: those of these types, also where they are absent.
func Observe(tenant string, all []metav1.Condition, types ...string) {
	for _, kind := range types {
		value := 0.0
		if c := meta.FindStatusCondition(all, kind); c != nil && c.Status == metav1.ConditionTrue {
			value = 1
		} else if c != nil && c.Status == metav1.ConditionUnknown {
			value = -1
		}
		gauge.WithLabelValues(tenant, kind).Set(value)
	}
}

// Forget drops the metrics of a Tenant that is gone.
func Forget(tenant string, types ...string) {
	for _, kind := range types {
		gauge.DeleteLabelValues(tenant, kind)
	}
}
