// SPDX-License-Identifier: Apache-2.0

// Package alerts holds the chart's rules for Prometheus and its dashboards to what they are for, with the parser and the
// engine of Prometheus itself. They are a module of their own, since nothing else needs their dependencies.
package alerts
