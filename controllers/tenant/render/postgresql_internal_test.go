// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"
	"strings"
	"testing"
)

func TestTuningFitsTheMemoryLimit(t *testing.T) {
	for _, row := range []struct {
		name               string
		memory, cpu, asked int64
		want               map[string]string
	}{
		{"the least memory that the API takes", 64 * mib, 50, 0, map[string]string{"max_connections": "20",
			"shared_buffers": "16384kB", "work_mem": "1228kB", "max_wal_size": "65536kB", "max_parallel_workers": "1"}},
		{"the default", 512 * mib, 1000, 0, map[string]string{"max_connections": "102",
			"shared_buffers": "131072kB", "work_mem": "1927kB", "max_wal_size": "131072kB", "max_parallel_workers_per_gather": "0"}},
		{"a large one", 64 * gib, 16000, 0, map[string]string{"max_connections": "200",
			"shared_buffers": "16777216kB", "work_mem": "125829kB", "maintenance_work_mem": "1048576kB",
			"max_wal_size": "4194304kB", "max_worker_processes": "16", "max_parallel_workers_per_gather": "4"}},
		{"connections that the user asked for", 512 * mib, 1000, 10, map[string]string{"max_connections": "10", "work_mem": "19660kB"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			has := map[string]string{}
			for _, s := range tuning(row.memory, row.cpu, row.asked) {
				has[s.name] = s.value
			}
			for name, want := range row.want {
				if has[name] != want {
					t.Errorf("%s is %s, expected %s", name, has[name], want)
				}
			}
		})
	}
}

func TestTuningNeverPromisesMoreMemoryThanThereIs(t *testing.T) {
	for memory := 64 * mib; memory <= 256*gib; memory += memory / 3 {
		values := map[string]int64{}
		for _, s := range tuning(memory, 4000, 0) {
			if number, err := strconv.ParseInt(strings.TrimSuffix(s.value, "kB"), 10, 64); err == nil {
				values[s.name] = number
			}
		}
		used := (values["shared_buffers"] + values["max_connections"]*values["work_mem"]) * kib
		if used > memory {
			t.Errorf("with %d MiB: buffers and one work_mem for each connection are %d MiB", memory/mib, used/mib)
		}
		if values["min_wal_size"] < 32*kib || values["max_wal_size"] < values["min_wal_size"] {
			t.Errorf("with %d MiB: min_wal_size %d kB, max_wal_size %d kB", memory/mib, values["min_wal_size"], values["max_wal_size"])
		}
	}
}

func TestConnectionsIgnoresWhatIsNoNumber(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "many": 0, "-5": 0, "0": 0, "50": 50} {
		if has := connections(map[string]string{"max_connections": text}); has != want {
			t.Errorf("max_connections %q: %d, expected %d", text, has, want)
		}
	}
}
