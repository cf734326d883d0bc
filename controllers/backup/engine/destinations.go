// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
)

// Destinations is the content of destinations.json: what a pod's pgbackrest.conf holds, in words.
type Destinations struct {
	// Destinations that the pod works with, in the order of their repository numbers. None, in the database pod: there
	// is a policy, but nothing can be archived now; the write-ahead log waits.
	Destinations []Destination `json:"destinations"`
	// AskSeconds is how often, in seconds, the archiver asks each destination how far it is.
	AskSeconds int `json:"askSeconds,omitempty"`
}

// Destination is one repository of one destination.
type Destination struct {
	// Name of the destination in the policy.
	Name string `json:"name"`
	// Repository is N in pgBackRest's options repoN-….
	Repository int `json:"repository"`
	// Generation of the tenant's repository there; each has a key of its own.
	Generation int32 `json:"generation"`
}

// ParseDestinations reads destinations.json.
func ParseDestinations(raw []byte) (Destinations, error) {
	var d Destinations
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("reading destinations.json: %w", err)
	}
	return d, nil
}

// Find returns a repository by the name of its destination and its generation; no generation is the first.
func (d Destinations) Find(name string, generation int32) (Destination, bool) {
	for _, one := range d.Destinations {
		if one.Name == name && one.Generation == max(generation, 1) {
			return one, true
		}
	}
	return Destination{}, false
}
