// SPDX-License-Identifier: Apache-2.0

package database

import (
	"errors"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/controllers/internal/volume"
)

// TestDecide goes through every combination that a volume can show.
func TestDecide(t *testing.T) {
	const a, b = "id-a", "id-b"
	mark := func(id string) *volume.Mark { return &volume.Mark{InstanceID: id} }
	for name, tc := range map[string]struct {
		state State
		want  Action
		says  []string // of the refusal
	}{
		"new instance, empty volume": {
			state: State{InstanceID: a}, want: ActionInitialize},
		"known instance, empty volume: the volume was lost": {
			state: State{InstanceID: a, Initialized: true}, says: []string{a, "lost", "No new database"}},
		"own volume": {
			state: State{InstanceID: a, Mark: mark(a), InnerMark: mark(a), HasCluster: true, DataMajor: "17"}, want: ActionNone},
		"own volume of a known instance": {
			state: State{InstanceID: a, Initialized: true, Mark: mark(a), InnerMark: mark(a), HasCluster: true, DataMajor: "17"}, want: ActionNone},
		"own volume, cluster restored without its inner mark": {
			state: State{InstanceID: a, Initialized: true, Mark: mark(a), HasCluster: true, DataMajor: "17"}, want: ActionNone},
		"own volume with strangers beside the cluster": {
			state: State{InstanceID: a, Mark: mark(a), HasCluster: true, DataMajor: "17", Strangers: []string{"notes"}}, want: ActionNone},
		"volume of another instance": {
			state: State{InstanceID: a, Mark: mark(b), HasCluster: true, DataMajor: "17"}, says: []string{a, b, "Nothing was changed"}},
		"volume of another instance without its cluster": {
			state: State{InstanceID: a, Mark: mark(b)}, says: []string{a, b}},
		"own mark, no cluster": {
			state: State{InstanceID: a, Mark: mark(a)}, says: []string{a, "missing or damaged"}},
		"own mark, cluster without PG_VERSION": {
			state: State{InstanceID: a, Mark: mark(a), HasCluster: true}, says: []string{a, "missing or damaged"}},
		"own volume written by an older PostgreSQL": {
			state: State{InstanceID: a, Mark: mark(a), HasCluster: true, DataMajor: "16"}, says: []string{"16", "17"}},
		"no mark, files of unknown origin": {
			state: State{InstanceID: a, Strangers: []string{"base.tar", "initdb-id-b.partial"}}, says: []string{"base.tar, initdb-id-b.partial"}},
		"no mark, files of unknown origin beside an own cluster": {
			state: State{InstanceID: a, InnerMark: mark(a), HasCluster: true, DataMajor: "17", Strangers: []string{"base.tar"}}, says: []string{"base.tar"}},
		"crash between the cluster's rename and the volume's mark": {
			state: State{InstanceID: a, InnerMark: mark(a), HasCluster: true, DataMajor: "17"}, want: ActionMark},
		"volume's mark lost later": {
			state: State{InstanceID: a, Initialized: true, InnerMark: mark(a), HasCluster: true, DataMajor: "17"}, want: ActionMark},
		"unmarked cluster of another PostgreSQL": {
			state: State{InstanceID: a, InnerMark: mark(a), HasCluster: true, DataMajor: "15"}, says: []string{"15", "17"}},
		"unmarked cluster without PG_VERSION": {
			state: State{InstanceID: a, InnerMark: mark(a), HasCluster: true}, says: []string{"damaged"}},
		"cluster of another instance, volume's mark missing": {
			state: State{InstanceID: a, InnerMark: mark(b), HasCluster: true, DataMajor: "17"}, says: []string{a, b}},
		"cluster that says nothing of its owner": {
			state: State{InstanceID: a, HasCluster: true, DataMajor: "17"}, says: []string{a, "says nothing of its owner"}},
		"operator does not say which instance": {
			state: State{}, says: []string{"did not say which instance"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.state.ServerMajor = "17"
			got, err := Decide(tc.state)
			if tc.want != "" {
				if err != nil || got != tc.want {
					t.Fatalf("got %q, %v; want %q", got, err, tc.want)
				}
				return
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) || got != "" {
				t.Fatalf("got %q, %v; want a refusal", got, err)
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the refusal does not say %q: %s", part, err)
				}
			}
		})
	}
}

// TestOnlyAnEmptyVolumeOfANewInstanceIsEverInitialized tries all states there are of the facts that matter.
func TestOnlyAnEmptyVolumeOfANewInstanceIsEverInitialized(t *testing.T) {
	marks := []*volume.Mark{nil, {InstanceID: "a"}, {InstanceID: "b"}}
	count := 0
	for bits := range 1 << 4 {
		for _, mark := range marks {
			for _, inner := range marks {
				s := State{InstanceID: "a", ServerMajor: "17", Initialized: bits&1 != 0, HasCluster: bits&2 != 0, Mark: mark, InnerMark: inner}
				if bits&4 != 0 {
					s.DataMajor = "17"
				}
				if bits&8 != 0 {
					s.Strangers = []string{"x"}
				}
				action, err := Decide(s)
				if (action == "") == (err == nil) {
					t.Errorf("%+v: neither an action nor a refusal, or both", s)
				}
				if action != ActionInitialize {
					continue
				}
				count++
				if s.Initialized || s.HasCluster || s.Mark != nil || len(s.Strangers) > 0 {
					t.Errorf("%+v would be initialised", s)
				}
			}
		}
	}
	if count == 0 {
		t.Error("no state at all leads to a new database")
	}
}

func TestALongListOfStrangersIsCut(t *testing.T) {
	if got := list(strings.Split("abcdefghijkl", "")); got != "a, b, c, d, e, f, g, h, i, j and 2 more" {
		t.Error(got)
	}
}
