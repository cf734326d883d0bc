// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	proofTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "freehold_proof_timestamp_seconds",
		Help: "When a Tenant's walls and encryption were last put to the proof, in seconds since 1970. Alert on its age.",
	}, []string{"tenant"})
	blockedClients = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "freehold_gate_blocked_clients",
		Help: "Clients that a Tenant's gate kept from its login paths when it was last put to the proof.",
	}, []string{"tenant"})
	proofSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "freehold_proof_duration_seconds",
		Help:    "How long the rounds took that put Tenants to the proof.",
		Buckets: []float64{1, 2, 3, 5, 8, 12, 20, 30, 60},
	})
)

func init() { metrics.Registry.MustRegister(proofTime, blockedClients, proofSeconds) }
