// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// frontend is the name of the gate's doors in HAProxy's statistics.
const frontend = "https"

var (
	workersMetric     = metric("workers", "HAProxy processes that may hold connections; more than one while connections from before a change live on.")
	connectionsMetric = metric("connections", "Client connections of the HAProxy process in use.")
	acceptedMetric    = metric("connections_total", "Client connections that the HAProxy process in use accepted; begins anew with each change of lists or certificates.")
	deniedMetric      = metric("connections_refused_total", "Client connections that the HAProxy process in use refused by the client lists; begins anew with each change of lists or certificates.")
	blockedMetric     = metric("blocked_clients", "Clients that may not log in at the moment.")
	blocksMetric      = metric("blocks_total", "Clients that were blocked for trying to log in too often.")
	refusedMetric     = metric("login_requests_refused_total", "Requests that were refused because their client is blocked.")
)

func metric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("freehold_gate_"+name, help, nil, nil)
}

// collector asks HAProxy whenever it is asked.
type collector struct {
	program haproxy
	state   *tracker
}

// metrics serves /metrics.
func (h haproxy) metrics(state *tracker) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{h, state})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{workersMetric, connectionsMetric, acceptedMetric, deniedMetric, blockedMetric, blocksMetric, refusedMetric} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. What HAProxy does not tell is left out and named.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	now, ever := c.state.blocked()
	ch <- prometheus.MustNewConstMetric(blockedMetric, prometheus.GaugeValue, float64(now))
	ch <- prometheus.MustNewConstMetric(blocksMetric, prometheus.CounterValue, float64(ever))
	if found, err := c.program.workers(ctx); err != nil {
		ch <- prometheus.NewInvalidMetric(workersMetric, err)
	} else {
		ch <- prometheus.MustNewConstMetric(workersMetric, prometheus.GaugeValue, float64(found.count()))
	}
	if stats, err := statistics(ctx, c.program.config); err != nil {
		ch <- prometheus.NewInvalidMetric(connectionsMetric, err)
	} else {
		ch <- prometheus.MustNewConstMetric(connectionsMetric, prometheus.GaugeValue, stats["scur"])
		ch <- prometheus.MustNewConstMetric(acceptedMetric, prometheus.CounterValue, stats["stot"])
		ch <- prometheus.MustNewConstMetric(deniedMetric, prometheus.CounterValue, stats["dcon"]+stats["dses"])
	}
	if refused, err := refusedRequests(ctx, c.program.config); err == nil {
		ch <- prometheus.MustNewConstMetric(refusedMetric, prometheus.CounterValue, refused)
	} else if !errors.Is(err, ErrNoLimits) {
		ch <- prometheus.NewInvalidMetric(refusedMetric, err)
	}
}

// statistics are the numbers that HAProxy keeps of the gate's doors, by the names of its CSV.
func statistics(ctx context.Context, c Config) (map[string]float64, error) {
	answer, err := ask(ctx, c.statsSocket(), "show stat "+frontend+" 1 -1")
	if err != nil {
		return nil, fmt.Errorf("ask haproxy for its statistics: %w", err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(answer), "# "))).ReadAll()
	if err != nil || len(rows) != 2 {
		return nil, fmt.Errorf("haproxy's statistics of the frontend %s are not to be read: %q", frontend, answer)
	}
	stats := map[string]float64{}
	for i, name := range rows[0] {
		if value, err := strconv.ParseFloat(rows[1][i], 64); err == nil {
			stats[name] = value
		}
	}
	return stats, nil
}

func refusedRequests(ctx context.Context, c Config) (float64, error) {
	answer, err := table(ctx, c, "show table "+meta.TableRefused)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries(answer) {
		count, err := entry.number("gpc0")
		return float64(count), err
	}
	return 0, nil
}
