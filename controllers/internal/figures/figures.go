// SPDX-License-Identifier: Apache-2.0

// Package figures is what benchmarks share: sizes from the environment, and how many measurements become one figure.
package figures

import (
	"os"
	"slices"
	"strconv"
	"testing"
)

// Size is the number that an environment variable holds, or another one where it is not set.
func Size(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a positive number", variable, text)
	}
	return n
}

// Quantile is the value below which a share of the values lies, between two neighbours in proportion: 0.5 is the median.
// Without values it is 0.
func Quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := share * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// Median is the value in the middle.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Ratios divides pair by pair. What was measured in the same round had the same neighbours on the machine.
func Ratios(of, by []float64) []float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i] / by[i]
	}
	return ratios
}

// Slope is how much y grows with each x: that of the straight line with the least squares.
func Slope(x, y []float64) float64 {
	var meanX, meanY, products, squares float64
	for i := range x {
		meanX += x[i] / float64(len(x))
		meanY += y[i] / float64(len(x))
	}
	for i := range x {
		products += (x[i] - meanX) * (y[i] - meanY)
		squares += (x[i] - meanX) * (x[i] - meanX)
	}
	return products / squares
}
