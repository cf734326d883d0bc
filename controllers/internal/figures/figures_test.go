// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"math"
	"slices"
	"testing"
)

func TestQuantilesLieBetweenTheirNeighbours(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	for share, want := range map[float64]float64{0: 1, 0.5: 2.5, 0.9: 3.7, 1: 4} {
		if got := Quantile(values, share); math.Abs(got-want) > 1e-9 {
			t.Errorf("the quantile %v of %v is %v, want %v", share, values, got, want)
		}
	}
	if got := Median([]float64{7}); got != 7 {
		t.Errorf("the median of one value is %v", got)
	}
	if got := Median(nil); got != 0 {
		t.Errorf("the median of no value is %v", got)
	}
	if !slices.Equal(values, []float64{4, 1, 3, 2}) {
		t.Errorf("the values were sorted in place: %v", values)
	}
}

func TestAStraightLineHasItsSlope(t *testing.T) {
	if got := Slope([]float64{10, 20, 40}, []float64{1300, 2300, 4300}); math.Abs(got-100) > 1e-9 {
		t.Errorf("the slope is %v, want 100", got)
	}
}

func TestRatiosArePaired(t *testing.T) {
	if got := Ratios([]float64{2, 9}, []float64{4, 3}); !slices.Equal(got, []float64{0.5, 3}) {
		t.Errorf("the ratios are %v", got)
	}
}

func TestSizesComeFromTheEnvironment(t *testing.T) {
	if got := Size(t, "FIGURES_TEST_NOT_SET", 5); got != 5 {
		t.Errorf("without a variable the size is %d", got)
	}
	t.Setenv("FIGURES_TEST", "12")
	if got := Size(t, "FIGURES_TEST", 5); got != 12 {
		t.Errorf("the size is %d, want 12", got)
	}
}
