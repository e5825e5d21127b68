package main

import (
	"math"
	"slices"
	"testing"
)

func TestSpreadOf(t *testing.T) {
	if s := spreadOf(nil); s != nil {
		t.Errorf("of nothing: %+v", s)
	}
	s := spreadOf([]float64{5, 1, 4, 2, 3})
	if s.Median != 3 || s.Lower != 2 || s.Upper != 4 {
		t.Errorf("of 1…5: %+v", s)
	}
	if !slices.Equal(s.Samples, []float64{5, 1, 4, 2, 3}) {
		t.Errorf("the samples are no longer in the order of the rounds: %v", s.Samples)
	}
	if m := median([]float64{1, 2, 3, 10}); m != 2.5 {
		t.Errorf("median of four: %v", m)
	}
}

func TestRatioOf(t *testing.T) {
	// The same noise hits both in each round: the ratio is certain, though the times are not.
	var a, b []float64
	for i := range 50 {
		noise := float64(1 + i%7)
		a, b = append(a, noise), append(b, 2*noise)
	}
	ratio, low, high := ratioOf(a, b)
	if ratio != 0.5 || low != 0.5 || high != 0.5 {
		t.Errorf("paired: %v in [%v, %v], want 0.5 for sure", ratio, low, high)
	}
	// Of series that were not taken in the same rounds it is uncertain.
	ratio, low, high = ratioOf(a[:49], b)
	if math.Abs(ratio-0.5) > 0.1 || low >= ratio || high <= ratio {
		t.Errorf("unpaired: %v in [%v, %v]", ratio, low, high)
	}
	if _, again, _ := ratioOf(a[:49], b); again != low {
		t.Errorf("the same samples gave %v, and then %v", low, again)
	}
}

// Each contestant runs once a round, and comes after each other one about as often.
func TestTurnOrder(t *testing.T) {
	const n, rounds = 4, 400
	after := map[[2]int]int{}
	for round := range rounds {
		order := turnOrder(round, n)
		if !slices.Equal(slices.Sorted(slices.Values(order)), []int{0, 1, 2, 3}) {
			t.Fatalf("round %d: %v", round, order)
		}
		for i := 1; i < n; i++ {
			after[[2]int{order[i-1], order[i]}]++
		}
	}
	for a := range n {
		for b := range n {
			if got := after[[2]int{a, b}]; a != b && (got < 60 || got > 140) {
				t.Errorf("%d came after %d in %d of %d rounds, want about 100", b, a, got, rounds)
			}
		}
	}
}
