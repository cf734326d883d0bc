// SPDX-License-Identifier: Apache-2.0

package alerts_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const chart = "../../charts/freehold"

var promQL = parser.NewParser(parser.Options{})

// alerts are the chart's, by name. Reading them checks expressions, templates and labels as `promtool check rules` does.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "alerts", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules in the chart: %v", err)
	}
	found := map[string]rulefmt.Rule{}
	for _, file := range files {
		groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatalf("%s: %v", file, errs)
		}
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				found[rule.Alert] = rule
			}
		}
	}
	return found
}

// What wakes people says how urgent it is, what is wrong and what to do, and lets what repairs itself do so.
func TestAlertsSayWhatToDo(t *testing.T) {
	for name, rule := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, rule.Labels["severity"]) {
			t.Errorf("%s has the severity %q", name, rule.Labels["severity"])
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s does not say what is wrong and what to do", name)
		}
		if time.Duration(rule.For) < 15*time.Minute {
			t.Errorf("%s fires after %s; the operator may be away for longer while it is upgraded", name, rule.For)
		}
	}
}

// The runbook has each alert.
func TestRunbookHasEveryAlert(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/backups.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range alerts(t) {
		if !strings.Contains(string(runbook), "`"+name+"`") {
			t.Errorf("docs/backups.md does not say what to do about %s", name)
		}
	}
}

// metrics that the operator shows, with the labels that each has.
var metrics = map[string][]string{
	"freehold_tenant_condition":                           {"tenant", "type"},
	"freehold_backup_last_success_timestamp_seconds":      {"tenant", "destination"},
	"freehold_backup_recoverable_until_timestamp_seconds": {"tenant", "destination"},
	"freehold_backup_last_verified_timestamp_seconds":     {"tenant", "destination"},
	"freehold_backup_rotation_started_timestamp_seconds":  {"tenant", "destination"},
	"freehold_backup_recovery_seconds":                    {"tenant", "destination"},
	"freehold_backup_repository_bytes":                    {"tenant", "destination"},
	"freehold_backup_wal_bytes":                           {"tenant"},
	"freehold_backup_failures_total":                      {"tenant", "destination", "job"},
}

// The operator's code names each of them, in whole or without the part that all of backups share.
func TestMetricsAreThoseOfTheOperator(t *testing.T) {
	code := ""
	for _, file := range []string{"../../controllers/backup/metrics.go", "../../controllers/internal/conditions/metrics.go"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code += string(raw)
	}
	for name := range metrics {
		if !strings.Contains(code, `"`+name+`"`) && !strings.Contains(code, `"`+strings.TrimPrefix(name, "freehold_backup_")+`"`) {
			t.Errorf("the operator has no metric %s", name)
		}
	}
}

// asked checks that an expression speaks of metrics and labels that exist, and returns how many it speaks of.
func asked(t *testing.T, where, expression string) int {
	t.Helper()
	parsed, err := promQL.ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return 0
	}
	selectors := 0
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		selectors++
		labels, known := metrics[selector.Name]
		if !known {
			t.Errorf("%s asks for %s, which the operator does not have", where, selector.Name)
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != model.MetricNameLabel && !slices.Contains(labels, matcher.Name) {
				t.Errorf("%s asks for the label %s, which %s does not have", where, matcher.Name, selector.Name)
			}
		}
		return nil
	})
	return selectors
}

func TestAlertsAskForWhatThereIs(t *testing.T) {
	for name, rule := range alerts(t) {
		if asked(t, name, rule.Expr) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
	}
}

func TestDashboardsAskForWhatThereIs(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(chart, "dashboards", "backups.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID    string
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || board.Title == "" || len(board.Panels) == 0 {
		t.Fatalf("the dashboard is %q (%s) with %d panels", board.Title, board.UID, len(board.Panels))
	}
	seen := map[int]bool{}
	variable := regexp.MustCompile(`\$[a-z]+`)
	for _, panel := range board.Panels {
		if seen[panel.ID] || panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %d (%s) has an ID that is not its own, no title or nothing to show", panel.ID, panel.Title)
		}
		seen[panel.ID] = true
		for _, target := range panel.Targets {
			if asked(t, panel.Title, variable.ReplaceAllString(target.Expr, ".*")) == 0 {
				t.Errorf("panel %s asks for nothing", panel.Title)
			}
		}
	}
}
