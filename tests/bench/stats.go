package main

import (
	"math/rand/v2"
	"slices"
)

// Spread is what a series of samples says: the middle, and where the middle half of them lies.
type Spread struct {
	Median  float64   `json:"median"`
	Lower   float64   `json:"lowerQuartile"`
	Upper   float64   `json:"upperQuartile"`
	Samples []float64 `json:"samples,omitempty"`
}

// spreadOf sums samples up; nil for none.
func spreadOf(samples []float64) *Spread {
	if len(samples) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(samples))
	return &Spread{Median: quantile(sorted, 0.5), Lower: quantile(sorted, 0.25), Upper: quantile(sorted, 0.75), Samples: samples}
}

// quantile interpolates between the two nearest of sorted samples.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

func median(samples []float64) float64 {
	return quantile(slices.Sorted(slices.Values(samples)), 0.5)
}

// resamples is how often ratioOf draws; the interval's ends are stable to about one in a hundred with it.
const resamples = 1000

// ratioOf is the ratio of the medians of two series, and the interval that holds it with 95 % confidence (bootstrap:
// the ratio is taken again and again of rounds drawn with replacement; of two series from the same rounds the same ones
// are drawn, because they met the same noise). The draw is a fixed one: the same samples give the same interval.
func ratioOf(a, b []float64) (ratio, low, high float64) {
	ratio = median(a) / median(b)
	draw := rand.New(rand.NewPCG(6, 28))
	ratios := make([]float64, resamples)
	as, bs := make([]float64, len(a)), make([]float64, len(b))
	for i := range ratios {
		for j := range bs {
			bs[j] = b[draw.IntN(len(b))]
		}
		for j := range as {
			k := draw.IntN(len(a))
			as[j] = a[k]
			if len(a) == len(b) {
				bs[j] = b[k]
			}
		}
		ratios[i] = median(as) / median(bs)
	}
	slices.Sort(ratios)
	return ratio, quantile(ratios, 0.025), quantile(ratios, 0.975)
}

// turnOrder is the order in which n contestants run in a round. It changes from round to round, so that none always
// finds the machine as the same other one left it (the kernel tears namespaces and cgroups down after the fact), and is
// the same in every run of the bench.
func turnOrder(round, n int) []int {
	return rand.New(rand.NewPCG(uint64(n), uint64(round))).Perm(n)
}
