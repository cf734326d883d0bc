// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// goodValues are a usual, the least and the greatest value of each parameter for a database of 512Mi. A real server
// takes all of them.
var goodValues = map[string][3]string{
	"autovacuum_analyze_scale_factor":     {"0.05", "0", "100"},
	"autovacuum_max_workers":              {"2", "1", "64"},
	"autovacuum_naptime":                  {"30s", "1", "24d"},
	"autovacuum_vacuum_cost_limit":        {"500", "-1", "10000"},
	"autovacuum_vacuum_scale_factor":      {"0.1", "0", "100"},
	"checkpoint_timeout":                  {"10min", "30", "1d"},
	"deadlock_timeout":                    {"2s", "1", "24d"},
	"default_statistics_target":           {"200", "1", "10000"},
	"default_text_search_config":          {"pg_catalog.simple", "english", "german"},
	"effective_cache_size":                {"300MB", "1", "1TB"},
	"effective_io_concurrency":            {"100", "0", "1000"},
	"hash_mem_multiplier":                 {"1.5", "1", "1000"},
	"idle_in_transaction_session_timeout": {"60s", "0", "24d"},
	"idle_session_timeout":                {"1 h", "0", "24d"},
	"jit":                                 {"on", "0", "YES"},
	"lock_timeout":                        {"10s", "0", "24d"},
	"log_lock_waits":                      {"off", "no", "true"},
	"log_min_duration_statement":          {"250ms", "-1", "24d"},
	"maintenance_work_mem":                {"20MB", "64", "1TB"},
	"max_connections":                     {"30", "10", "5000"},
	"max_parallel_workers":                {"2", "0", "1024"},
	"max_parallel_workers_per_gather":     {"1", "0", "1024"},
	"max_wal_size":                        {"256MB", "32", "1TB"},
	"min_wal_size":                        {"64MB", "32", "1TB"},
	"random_page_cost":                    {"2.0", "0", "1000000"},
	"shared_buffers":                      {"64MB", "16", "256 MB"},
	"statement_timeout":                   {"1min", "0", "24d"},
	"temp_file_limit":                     {"1GB", "-1", "1TB"},
	"timezone":                            {"Europe/Vienna", "UTC", "Etc/GMT+2"},
	"track_io_timing":                     {"on", "false", "1"},
	"wal_buffers":                         {"4MB", "-1", "64MB"},
	"work_mem":                            {"2MB", "64kB", "1TB"},
}

// withParameter is an instance whose class sets one parameter.
func withParameter(name, value string) render.Inputs {
	in := miniflux()
	in.Class.Spec.Database.Parameters = v1alpha1.PostgreSQLParameters{name: v1alpha1.PostgreSQLValue(value)}
	return in
}

func TestEveryParameterOfTheAPIHasItsRange(t *testing.T) {
	crd := read(t, "../../../config/crd/bases/freehold.dev_tenantclasses.yaml")
	list := regexp.MustCompile(`k in\s+\['(autovacuum[^\]]*)'\]`).FindStringSubmatch(crd)
	if list == nil {
		t.Fatal("the CRD's list of parameters was not found")
	}
	names := regexp.MustCompile(`'\s*,\s*'`).Split(list[1], -1)
	if len(names) != len(goodValues) {
		t.Errorf("the API lets %d parameters through, %d are looked at here", len(names), len(goodValues))
	}
	for _, name := range names {
		for _, value := range goodValues[name] {
			if _, err := render.NewRevision(withParameter(name, value)); err != nil {
				t.Errorf("%s = %q is refused: %v", name, value, err)
			}
		}
	}
}

func TestAParameterThatPostgreSQLWouldNotTakeIsRefusedBeforeItCanBeApproved(t *testing.T) {
	const shared = "a whole number with kB, MB, GB or TB from 128kB to 256MB, half of the memory limit"
	for _, row := range []struct{ name, value, allowed string }{
		{"work_mem", "1kB", "a whole number with kB, MB, GB or TB from 64kB to 1TB"},
		{"work_mem", "64mb", "a whole number with kB, MB, GB or TB from 64kB to 1TB"},
		{"work_mem", "64M", ""}, {"work_mem", "MB", ""}, {"work_mem", "1.5GB", ""}, {"work_mem", "010MB", ""},
		{"work_mem", "64 MB MB", ""}, {"work_mem", "9999999999TB", ""}, {"work_mem", "-1", ""}, {"work_mem", "64min", ""},
		{"shared_buffers", "257MB", shared}, {"shared_buffers", "32769", shared}, {"shared_buffers", "64kB", shared},
		{"wal_buffers", "65MB", "from 32kB to 64MB, an eighth of the memory limit and at most 1GB, or -1"},
		{"max_connections", "9", "a whole number from 10 to 5000"},
		{"max_connections", "5001", "a whole number from 10 to 5000"},
		{"max_connections", "many", ""}, {"max_connections", "1e2", ""}, {"max_connections", "0x20", ""},
		{"autovacuum_vacuum_cost_limit", "-2", "a whole number from 1 to 10000, or -1"},
		{"min_wal_size", "31MB", ""}, {"max_wal_size", "16MB", ""},
		{"checkpoint_timeout", "29s", "a whole number with ms, s, min, h or d from 30s to 1d"},
		{"checkpoint_timeout", "2d", ""}, {"statement_timeout", "30m", ""}, {"statement_timeout", "25d", ""},
		{"deadlock_timeout", "0", "a whole number with ms, s, min, h or d from 1ms to 24d"},
		{"hash_mem_multiplier", "0.5", "a number from 1 to 1000, such as 1.5"},
		{"random_page_cost", "-1", ""}, {"random_page_cost", "NaN", ""}, {"autovacuum_analyze_scale_factor", "1e9", ""},
		{"jit", "maybe", "on or off"},
		{"timezone", "Europe/Vienn", "a current name of the IANA time zone database such as UTC or Europe/Vienna"},
		{"timezone", "Local", ""}, {"timezone", "US/Pacific", ""}, {"timezone", "Asia/Calcutta", ""}, {"timezone", "Europe/", ""}, {"timezone", "../UTC", ""}, {"timezone", "right/UTC", ""},
		{"default_text_search_config", "pg_catalog.", ""}, {"default_text_search_config", "a.b.c", ""},
	} {
		_, err := render.NewRevision(withParameter(row.name, row.value))
		var invalid *render.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s = %q: %v, expected an InvalidError", row.name, row.value, err)
			continue
		}
		for _, want := range []string{"spec.database.parameters of class miniflux", row.name, `"` + row.value + `"`, row.allowed} {
			if !strings.Contains(invalid.Message, want) {
				t.Errorf("%s = %q: the user is told %q, expected %q in it", row.name, row.value, invalid.Message, want)
			}
		}
	}
}

func TestAParameterOfTheTenantIsNamedAsItsOwn(t *testing.T) {
	in := withParameter("shared_buffers", "100MB")
	in.Tenant.Spec.Database = &v1alpha1.TenantDatabase{Parameters: v1alpha1.PostgreSQLParameters{"work_mem": "lots"}}
	if _, err := render.NewRevision(in); err == nil || !strings.HasPrefix(err.Error(), "spec.database.parameters: work_mem ") {
		t.Errorf("the user is told: %v", err)
	}
	in.Tenant.Spec.Database.Parameters = nil
	in.Tenant.Spec.Database.Compute = &v1alpha1.Compute{Memory: ptr.To(resource.MustParse("128Mi"))}
	if _, err := render.NewRevision(in); err == nil || !strings.Contains(err.Error(), "to 64MB, half of the memory limit") {
		t.Errorf("shared_buffers of the class that do not fit the Tenant's memory: %v", err)
	}
}

func TestTolerationsThatNoTaintCanHaveAreRefused(t *testing.T) {
	for _, row := range []struct {
		toleration corev1.Toleration
		refused    string
	}{
		{corev1.Toleration{Key: "example.com/pool", Value: "a_b.c-1"}, ""},
		{corev1.Toleration{Operator: corev1.TolerationOpExists}, ""},
		{corev1.Toleration{Key: "a b", Operator: corev1.TolerationOpExists}, `spec.edge.scheduling.tolerations of class miniflux: "a b" cannot be the key of a taint`},
		{corev1.Toleration{Key: "pool", Value: "b-"}, `spec.edge.scheduling.tolerations of class miniflux: "b-" cannot be the value of a taint`},
	} {
		in := miniflux()
		in.Class.Spec.Edge.Scheduling.Tolerations = []corev1.Toleration{row.toleration}
		_, err := render.NewRevision(in)
		var invalid *render.InvalidError
		switch {
		case row.refused == "" && err != nil:
			t.Errorf("%v is refused: %v", row.toleration, err)
		case row.refused != "" && (!errors.As(err, &invalid) || invalid.Message != row.refused):
			t.Errorf("%v: %v, expected %q", row.toleration, err, row.refused)
		}
	}
}
