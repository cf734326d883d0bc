// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Report is what the archiver in the database pod answers at https://<database>:8009/report.
type Report struct {
	// At is the time of the report by the pod's clock.
	At time.Time `json:"at"`
	// Heartbeat is when the last beat was committed; zero if none was yet.
	Heartbeat time.Time `json:"heartbeat,omitzero"`
	// HeartbeatFailure is set if the database did not take the last beat.
	HeartbeatFailure *Failure `json:"heartbeatFailure,omitempty"`
	// SystemIdentifier of the database; empty as long as it is not known.
	SystemIdentifier string `json:"systemIdentifier,omitempty"`
	// Timeline that the database is on; 0 as long as it is not known.
	Timeline int `json:"timeline,omitempty"`
	// WALBytes is how much write-ahead log lies on the database volume, WALVolumeFree how many bytes are free there.
	WALBytes      int64 `json:"walBytes,omitempty"`
	WALVolumeFree int64 `json:"walVolumeFree,omitempty"`
	// Destinations that are archived to.
	Destinations []ArchiveReport `json:"destinations,omitempty"`
}

// ArchiveReport is how far the archive in one destination is, by the destination's own word.
type ArchiveReport struct {
	// Name of the destination, and Generation of the repository.
	Name       string `json:"name"`
	Generation int32  `json:"generation"`
	// AskedAt is when the destination was last asked, AnsweredAt when it last answered; zero if never.
	AskedAt    time.Time `json:"askedAt,omitzero"`
	AnsweredAt time.Time `json:"answeredAt,omitzero"`
	// Until is the last beat that the destination has the write-ahead log of: every moment before it can be restored.
	Until time.Time `json:"until,omitzero"`
	// Segment is the newest segment of the write-ahead log that the destination holds.
	Segment string `json:"segment,omitempty"`
	// Failure is set while the destination does not answer as it should; Since when.
	Failure *Failure  `json:"failure,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}
