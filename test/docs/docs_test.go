// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// pages are the documents that people wrote; the generated reference is only linked to.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	return append(found, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"),
		filepath.Join(root, "charts", "freehold", "README.md"))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// What the README shows is what a user can apply: the samples, which other tests hold against a real API server.
func TestReadmeShowsTheSamples(t *testing.T) {
	readme := read(t, filepath.Join(root, "README.md"))
	for _, sample := range []string{"tenantclass_miniflux.yaml", "tenant_globex.yaml"} {
		if !strings.Contains(readme, "```yaml\n"+read(t, filepath.Join(root, "config", "samples", sample))+"```") {
			t.Errorf("README.md does not show config/samples/%s as it is", sample)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	dropped = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors of a page, as GitHub makes them of headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		found[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-")] = true
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(match[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, match[1])
				continue
			}
			if anchor != "" && !anchors(read(t, target))[anchor] {
				t.Errorf("%s links to %s, which has no such heading", page, match[1])
			}
		}
	}
	if checked == 0 {
		t.Error("no links were found to check")
	}
}

// reasons are the constants of conditions.go whose names begin with Reason, by the comment above their group.
func reasons(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api", "v1alpha1", "conditions.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string][]string{}
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		title := strings.TrimSpace(group.Doc.Text())
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			if !strings.HasPrefix(value.Names[0].Name, "Reason") {
				continue
			}
			text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			groups[title] = append(groups[title], text)
		}
	}
	return groups
}

// Whoever is called at night finds each reason in the runbook, in the table that says what to do.
func TestRunbookHasEveryStalledReason(t *testing.T) {
	stalled := reasons(t)["Reasons of Stalled."]
	if len(stalled) == 0 {
		t.Fatal("no reasons were found in api/v1alpha1/conditions.go")
	}
	table, found := "", false
	for _, section := range strings.Split(read(t, filepath.Join(root, "docs", "operations.md")), "\n## ") {
		if strings.HasPrefix(section, "Stalled, by reason") {
			table, found = section, true
		}
	}
	if !found {
		t.Fatal("docs/operations.md has no section about Stalled")
	}
	for _, reason := range stalled {
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + reason + "`[^|]*\\|").MatchString(table) {
			t.Errorf("docs/operations.md does not say what to do when a Tenant is Stalled with the reason %s", reason)
		}
	}
}

// The same for backups, in the chapter about them.
func TestRunbookHasEveryReasonOfBackups(t *testing.T) {
	chapter := read(t, filepath.Join(root, "docs", "backups.md"))
	for _, group := range []string{"Reasons of BackedUp, PointInTimeRecoverable, Recoverable and Retained.", "Reasons of events about rotations.", "Reasons of Complete and Accepted."} {
		found := reasons(t)[group]
		if len(found) == 0 {
			t.Fatalf("no reasons were found in api/v1alpha1/conditions.go under %q", group)
		}
		for _, reason := range found {
			if !regexp.MustCompile("(?m)^\\|[^|]*`" + reason + "`[^|]*\\|").MatchString(chapter) {
				t.Errorf("docs/backups.md has no row about the reason %s (%s)", reason, group)
			}
		}
	}
}

var metricName = regexp.MustCompile(`Name:\s+"(freehold_[a-z_]+)"`)

func TestRunbookHasEveryMetric(t *testing.T) {
	runbook := read(t, filepath.Join(root, "docs", "operations.md"))
	found := metricName.FindAllStringSubmatch(read(t, filepath.Join(root, "controllers", "tenant", "metrics.go")), -1)
	if len(found) == 0 {
		t.Fatal("no metrics were found in controllers/tenant/metrics.go")
	}
	for _, match := range found {
		if !strings.Contains(runbook, "`"+match[1]) {
			t.Errorf("docs/operations.md does not explain the metric %s", match[1])
		}
	}
}
