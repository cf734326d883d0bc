// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"testing"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
)

func TestAJobThatIsKilledWhileItRemovesSnapshotsHasSaidHowMany(t *testing.T) {
	made := &engine.Snapshot{ID: "918a"}
	told, result := foretoldFiles(engine.FilesRemoval{IDs: make([]string, 500)}, engine.FilesResult{
		Job: engine.JobBackup, Destination: "site-a", Snapshot: made, Catalogue: &engine.FilesCatalogue{Snapshots: 600}, Expiry: &engine.Expiry{}}), engine.FilesResult{}
	encoded, err := encode(told, told.Failure, told.Expiry)
	if err != nil || json.Unmarshal(encoded, &result) != nil {
		t.Fatal(string(encoded), err)
	}
	if result.Failure == nil || result.Failure.Reason != engine.FailedNoResult || result.Expiry.Planned != 500 || result.Catalogue.Snapshots != 600 || *result.Snapshot != *made {
		t.Errorf("it left %s", encoded)
	}
}

func TestAJobThatIsKilledWhileItRemovesHasSaidWhat(t *testing.T) {
	plan := engine.Removal{Labels: make([]string, 500)}
	before := engine.Result{
		Job: engine.JobBackup, Destination: "site-a", Backup: &engine.Backup{Label: "20260301-013000F"},
		Catalogue: &engine.Catalogue{Backups: 600}, Expiry: &engine.Expiry{Removed: plan.Labels},
	}
	told := foretold(plan, before)
	encoded, err := encode(told, told.Failure, told.Expiry)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > command.MostLastWords {
		t.Errorf("%d bytes are more than the kubelet keeps", len(encoded))
	}
	var left engine.Result
	if err := json.Unmarshal(encoded, &left); err != nil {
		t.Fatal(err)
	}
	if left.Failure == nil || left.Failure.Reason != engine.FailedNoResult || left.Expiry.Planned != 500 || len(left.Expiry.Removed) != 0 {
		t.Errorf("it left %+v, %+v", left.Failure, left.Expiry)
	}
	if left.Backup == nil || left.Catalogue.Backups != 600 {
		t.Errorf("it left %+v, %+v: what was done before counts", left.Backup, left.Catalogue)
	}
	if before.Failure != nil || before.Expiry.Planned != 0 {
		t.Errorf("the result itself became %+v, %+v", before.Failure, before.Expiry)
	}
}
