// SPDX-License-Identifier: Apache-2.0

// Package docs holds the written documentation to the code: links lead somewhere, examples are the samples that other
// tests apply, and the runbook knows every reason and metric.
package docs
