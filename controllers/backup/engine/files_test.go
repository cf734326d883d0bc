// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

func TestResticIsToldTheGoldenThings(t *testing.T) {
	for name, tc := range map[string]struct {
		repository Repository
		files      []string
	}{
		"s3-path-ca":  {s3(v1alpha1.URIStylePath, 7443, authority(t)), []string{"site-a.ca.crt"}},
		"s3-host":     {s3("", 0, ""), nil},
		"gcs":         {gcs(), []string{"gcs.gcs.json"}},
		"azure-key":   {azureWith(CredentialAccountKey, "a2V5\n"), nil},
		"azure-token": {azureWith(CredentialSASToken, "?sv=2024-11-04&sig=x%3D"), nil},
		"sftp":        {sftp(), []string{"cellar.ssh-key"}},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := ApplicationFiles([]Repository{tc.repository})
			if err != nil {
				t.Fatal(err)
			}
			own := ResticFile(string(tc.repository.Destination.Name), tc.repository.Generation)
			want := append([]string{meta.KeyDestinations, own}, tc.files...)
			if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("files are %v, want %v", got, want)
			}
			golden(t, "restic-"+name+".json", files[own])
			if read, err := ParseRestic(files[own]); err != nil || read.Passphrase != passphrase {
				t.Errorf("read back %+v, %v", read, err)
			}
		})
	}
}

// Two generations of a destination stand side by side while its key is rotated.
func TestGenerationsOfADestinationDoNotGetInEachOthersWay(t *testing.T) {
	first, second := s3("", 0, ""), s3("", 0, "")
	first.Number = NumberOf(0, 1)
	second.Generation, second.Number, second.Passphrase = 2, NumberOf(0, 2), strings.Repeat("second-", 6)
	files, err := Files(PodJob, []Repository{first, second}, Database{Host: "db"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Repository{first, second} {
		how, err := ParseRestic(files[ResticFile("site-a", r.Generation)])
		if err != nil || how.Passphrase != r.Passphrase || !strings.HasSuffix(how.Repository, r.Path()+"/"+FilesFolder) {
			t.Errorf("generation %d: %+v, %v", r.Generation, how, err)
		}
		single, err := Single(files[meta.KeyPgBackRestConf], r.Number)
		if err != nil || !strings.Contains(string(single), "-cipher-pass="+r.Passphrase+"\n") || strings.Count(string(single), "-cipher-pass=") != 1 {
			t.Errorf("generation %d has another key alone: %v", r.Generation, err)
		}
	}
	numbers := map[int]bool{}
	for destination := range MostDestinations {
		for generation := int32(1); generation <= roundOfNumbers; generation++ {
			number := NumberOf(destination, generation)
			if numbers[number] || number < 1 || number > 256 {
				t.Fatalf("generation %d of destination %d has number %d", generation, destination, number)
			}
			numbers[number] = true
		}
	}
}

func TestOnlyThePodsOfJobsGetAnythingOfRestic(t *testing.T) {
	for pod, want := range map[PodKind]bool{PodArchive: false, PodJob: true} {
		files, err := Files(pod, []Repository{s3("", 0, ""), sftp()}, Database{Host: "db"})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"site-a", "cellar"} {
			if _, has := files[name+meta.ResticSuffix]; has != want {
				t.Errorf("%s: restic's way to %s is there: %v, want %v", pod, name, has, want)
			}
		}
	}
}

func TestApplicationDataNeedsTheSameOfSecretsAsTheDatabase(t *testing.T) {
	for name, r := range map[string]Repository{
		"no key":             with(s3("", 0, ""), CredentialAccessKeyID, ""),
		"no service account": with(gcs(), CredentialServiceAccount, ""),
		"a protected key":    with(sftp(), CredentialSSHKey, string(sshKey("openssh-key-v1\x00\x00\x00\x00\naes256-ctr\x00"))),
	} {
		var told *CredentialsError
		if _, err := ApplicationFiles([]Repository{r}); !errors.As(err, &told) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := s3("", 0, "")
	bad.Passphrase = "short"
	if _, err := ApplicationFiles([]Repository{bad}); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("a short passphrase: %v", err)
	}
}

func TestResticThatIsTooOldIsRefused(t *testing.T) {
	for printed, words := range map[string]string{
		"restic 0.18.0 compiled with go1.24.4 on linux/amd64\n":     "",
		"restic 0.18.1-dev (compiled manually) on linux/amd64":      "",
		"restic 0.20.0 compiled with go1.26.0 on linux/amd64":       "",
		"restic 1.0.0 compiled with go1.26.0 on linux/amd64":        "",
		"restic 0.17.3 compiled with go1.23.1 on linux/amd64":       "0.18 at least",
		"restic 0.9.6 compiled with go1.15.8 on linux/amd64":        "0.18 at least",
		"sh: restic: not found":                                     "does not tell its version",
		"":                                                          "does not tell its version",
		"restic 99999999999999999999.1.0 compiled with go1.24 on x": "not to be understood",
	} {
		err := CheckResticVersion(printed)
		if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v, want %q", printed, err, words)
		}
	}
}

func resticFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "restic", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestRealSnapshotsAreRead(t *testing.T) {
	got, err := ParseSnapshots([]byte(resticFile(t, "snapshots.json")), "acme-5f3k", meta.FilesDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("read %+v: those of another tag and another path are not ours", got)
	}
	want := Snapshot{
		ID:        "918ac15c955bb6c0ae5bf000083c97d1227e4327b93947be7bc5dd06f211b98b",
		StartedAt: time.Date(2026, 11, 28, 20, 12, 27, 7591846, time.UTC), FinishedAt: time.Date(2026, 11, 28, 20, 12, 28, 430367085, time.UTC),
		Files: 4, Bytes: 3145734, RepositoryBytes: 3148047,
	}
	if got[0] != want {
		t.Errorf("the older one is %+v, want %+v", got[0], want)
	}
	if c := CatalogueOf(got); c.Snapshots != 2 || c.RepositoryBytes != 3148047+1258 || c.Oldest.ID != want.ID || c.Newest.ID != got[1].ID {
		t.Errorf("the catalogue is %+v", c)
	}
	if c := CatalogueOf(nil); c.Snapshots != 0 || c.Oldest != nil || c.Newest != nil {
		t.Errorf("the catalogue of nothing is %+v", c)
	}
	tagged := `[{"id":"new","original":"old","paths":["` + meta.FilesDir + `"],"tags":["acme-5f3k","unfinished"]}]`
	if got, err := ParseSnapshots([]byte(tagged), "acme-5f3k", meta.FilesDir); err != nil || len(got) != 1 || !got[0].Unfinished {
		t.Errorf("read %+v, %v: nobody said that it is whole", got, err)
	} else if made, ok := MadeAs(got, "old"); !ok || made.ID != "new" {
		t.Errorf("the one that was stored as another is %+v", made)
	} else if made, ok := MadeAs(got, ""); ok {
		t.Errorf("the one without a name is %+v", made)
	}
	if _, err := ParseSnapshots([]byte("Fatal: x"), "acme-5f3k", meta.FilesDir); err == nil {
		t.Error("what is no list was read")
	}
}

func TestWhatResticSaysOfItsWorkIsRead(t *testing.T) {
	said := ParseSaid(resticFile(t, "unreadable.log"))
	if said.SnapshotID != "130a6877a2d64826b9d0627c6b98844d28be530af3c8e35f2b9a244e3c781891" {
		t.Errorf("the snapshot is %q", said.SnapshotID)
	}
	if want := []string{"open /var/lib/freehold/files/b: permission denied"}; !slices.Equal(said.Unread, want) {
		t.Errorf("%q could not be read, want %q: what went away meanwhile, and what only the scan met, does not count", said.Unread, want)
	}
}

func TestFailuresOfResticAreToldApart(t *testing.T) {
	for name, tc := range map[string]struct {
		code          int
		output        string
		reason, words string
	}{
		"wrong passphrase":     {12, `{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}`, FailedKey, "(wrong password"},
		"a damaged pack":       {1, resticFile(t, "damaged-pack.log"), FailedDamaged, "(/sub/big: decrypting blob <data/a0c1a53c> from 66310b29 failed: ciphertext verification failed There were 2 errors)"},
		"a missing pack":       {1, resticFile(t, "missing-pack.log"), FailedDamaged, "no such file"},
		"a missing object":     {1, "Load(<data/66310b2923>, 43, 0) failed: The specified key does not exist.\n", FailedDamaged, "does not exist"},
		"a damaged index":      {1, `{"message_type":"exit_error","code":1,"message":"LoadRaw(\u003cindex/c26d6e567a\u003e): invalid data returned"}`, FailedDamaged, "LoadRaw(<index/c26d6e567a>)"},
		"a damaged snapshot":   {0, "Ignoring \"918a\": failed to load snapshot 918ac15c: LoadRaw(<snapshot/918ac15c95>): invalid data returned\n", FailedDamaged, "918ac15c"},
		"in restic's code":     {1, `{"message_type":"exit_error","code":1,"message":"Error loading snapshot d8: invalid data returned\ngithub.com/restic/restic/internal/restic.x\n\tgithub.com/y.go:1"}`, FailedDamaged, "(Error loading snapshot d8: invalid data returned)"},
		"nobody answers":       {0, resticFile(t, "refused.log"), FailedUnreachable, "(Stat: Head \"https://127.0.0.1:1/bucket/x/config\": dial tcp 127.0.0.1:1: connect: connection refused)"},
		"no such host":         {1, `Fatal: unable to open repository at s3:https://nowhere.example.com/b: Stat: Head "https://nowhere.example.com/b/config": dial tcp: lookup nowhere.example.com: no such host`, FailedUnreachable, "no such host"},
		"an unknown authority": {1, `Stat(<config/>) returned error, retrying after 1s: Stat: Head "https://s3/b": tls: failed to verify certificate: x509: certificate signed by unknown authority`, FailedCertificate, "caBundle"},
		"an expired one":       {1, `Fatal: Get "https://s3/b": tls: failed to verify certificate: x509: certificate has expired or is not yet valid`, FailedCertificate, "expired"},
		"another host key":     {1, "subprocess freehold: freehold: " + OtherHostKey + ": it shows [SHA256:x]\nFatal: unable to start the sftp session, error: unexpected EOF\n", FailedCertificate, "hostKeyFingerprint"},
		"a refused SSH key":    {1, "subprocess freehold: freehold: " + SSHKeyRefused + ": ssh: handshake failed\nFatal: unable to start the sftp session\n", FailedRefused, "credentials"},
		"a dead SFTP server":   {1, "subprocess freehold: freehold: connect to the SFTP server: dial tcp 10.0.0.1:22: i/o timeout\nFatal: server unexpectedly closed connection: unexpected EOF\n", FailedUnreachable, "closed connection"},
		"a revoked key":        {1, "Fatal: unable to open config file: Stat: The Access Key Id you provided does not exist in our records.\nIs there a repository at the following location?\ns3:https://s3/b\n", FailedRefused, "(unable to open config file"},
		"a forbidden prefix":   {1, "Fatal: unable to open config file: Stat: Access Denied.\n", FailedRefused, "Access Denied"},
		"no bucket":            {1, "Fatal: unable to open config file: Stat: The specified bucket does not exist\n", FailedRefused, "bucket"},
		"clocks":               {1, "Fatal: The difference between the request time and the server's time is too large.\n", FailedRefused, "clocks"},
		"full":                 {1, "Save(<data/1>) returned error, retrying after 1s: client.PutObject: We encountered an internal error: no space left on device\n", FailedFull, "quota"},
		"something else":       {1, "Fatal: something else\n", FailedEngine, "something else"},
		"silence":              {2, "", FailedEngine, "code 2"},
	} {
		got := ClassifyRestic(tc.code, tc.output)
		if got.Reason != tc.reason || !strings.Contains(got.Message, tc.words) {
			t.Errorf("%s: %s: %s; want %s with %q", name, got.Reason, got.Message, tc.reason, tc.words)
		}
		if len(got.Message) > mostWords {
			t.Errorf("%s: the message has %d bytes", name, len(got.Message))
		}
	}
}

// daily are snapshots that were made each day, the last one an hour ago.
func daily(days int, now time.Time) []Snapshot {
	var all []Snapshot
	for i := range days {
		at := now.Add(-time.Hour).AddDate(0, 0, i-days+1)
		all = append(all, Snapshot{ID: fmt.Sprintf("day-%03d", i), StartedAt: at.Add(-time.Minute), FinishedAt: at})
	}
	return all
}

func TestWhichSnapshotsMayBeRemoved(t *testing.T) {
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		days                    int
		backupDays, pointInTime int32
		verified                string
		want                    FilesRemoval
	}{
		"none is old":                         {5, 10, 3, "day-004", FilesRemoval{}},
		"the oldest goes on its last day":     {10, 10, 3, "day-009", FilesRemoval{IDs: []string{"day-000"}}},
		"all that are older go":               {12, 10, 3, "day-011", FilesRemoval{IDs: []string{"day-000", "day-001", "day-002"}}},
		"not one that is proven":              {12, 10, 3, "day-001", FilesRemoval{IDs: []string{"day-000"}, Held: true}},
		"none without a proven one":           {12, 10, 3, "", FilesRemoval{Held: true}},
		"none if the proven one is not there": {12, 10, 3, "day-999", FilesRemoval{Held: true}},
		"not what the window begins with":     {12, 4, 8, "day-011", FilesRemoval{IDs: []string{"day-000", "day-001", "day-002"}, HeldForWindow: true}},
		"not the only one, however old":       {1, 1, 0, "day-000", FilesRemoval{Held: true}},
		"nothing of nothing":                  {0, 1, 0, "", FilesRemoval{}},
	} {
		options := FilesBackupOptions{BackupDays: tc.backupDays, PointInTimeDays: tc.pointInTime, Verified: tc.verified}
		got := ExpirableSnapshots(daily(tc.days, now), options, now)
		if !slices.Equal(got.IDs, tc.want.IDs) || got.Held != tc.want.Held || got.HeldForWindow != tc.want.HeldForWindow {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestNoYearOfSnapshotsEverLosesItsGuarantees(t *testing.T) {
	const seeds, days = 30, 400
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 7))
		options := FilesBackupOptions{BackupDays: int32(1 + random.IntN(60)), PointInTimeDays: int32(random.IntN(60))}
		now := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
		var there []Snapshot
		proven := -1 // Its number.
		for day := range days {
			now = now.Add(24*time.Hour + time.Duration(random.IntN(7200)-3600)*time.Second)
			if random.IntN(10) > 0 {
				there = append(there, Snapshot{ID: fmt.Sprint(day), FinishedAt: now, Unfinished: random.IntN(10) == 0})
			}
			if whole := Whole(there); len(whole) > 0 && random.IntN(5) == 0 {
				chosen := whole[random.IntN(len(whole))]
				var number int
				if _, err := fmt.Sscan(chosen.ID, &number); err != nil {
					t.Fatal(err)
				}
				if number > proven {
					proven, options.Verified = number, chosen.ID
				}
			}
			removal := ExpirableSnapshots(there, options, now)
			begin := now.AddDate(0, 0, -int(options.PointInTimeDays))
			restorable := func(s []Snapshot) bool { _, err := ChooseSnapshot(s, FilesSource{Target: begin}); return err == nil }
			could := restorable(there)
			there = slices.DeleteFunc(there, func(s Snapshot) bool { return slices.Contains(removal.IDs, s.ID) })
			if _, ok := FindSnapshot(there, options.Verified); !ok && options.Verified != "" {
				t.Fatalf("seed %d, day %d: the newest proven snapshot is gone", seed, day)
			}
			if could && !restorable(there) {
				t.Fatalf("seed %d, day %d: the beginning of the window cannot be restored any more", seed, day)
			}
			for _, s := range there {
				if old := s.FinishedAt.AddDate(0, 0, int(options.BackupDays)).Before(now); old && !removal.Held && !removal.HeldForWindow {
					t.Fatalf("seed %d, day %d: snapshot %s has expired, and nothing says why it is still there", seed, day, s.ID)
				}
			}
		}
	}
}

func TestWhichSnapshotARestoreBringsBack(t *testing.T) {
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	all := daily(5, now)
	at := func(day int) time.Time { return all[day].FinishedAt }
	for name, tc := range map[string]struct {
		wish FilesSource
		want string
	}{
		"the latest":                     {FilesSource{}, "day-004"},
		"the very moment":                {FilesSource{Target: at(2)}, "day-002"},
		"the last before":                {FilesSource{Target: at(3).Add(-time.Second)}, "day-002"},
		"one that had not ended is none": {FilesSource{Target: all[0].StartedAt}, ""},
		"a named one":                    {FilesSource{Snapshot: "day-001", Target: at(4)}, "day-001"},
		"a name that is not there":       {FilesSource{Snapshot: "day-009"}, ""},
		"not what a restore left":        {FilesSource{Without: []Span{{From: at(1), Until: at(4)}}}, "day-001"},
		"what came after the restore":    {FilesSource{Without: []Span{{From: at(1), Until: at(3)}}}, "day-004"},
		"one that had begun by then":     {FilesSource{Target: all[0].StartedAt, Begun: true}, "day-000"},
		"one that begins later is none":  {FilesSource{Target: all[0].StartedAt.Add(-time.Second), Begun: true}, ""},
		"nothing is left":                {FilesSource{Without: []Span{{From: at(0).Add(-time.Hour), Until: now}}}, ""},
	} {
		got, err := ChooseSnapshot(all, tc.wish)
		if got.ID != tc.want || (err != nil) != (tc.want == "") || err != nil && !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%s: %s, %v; want %q", name, got.ID, err, tc.want)
		}
	}
	all[1].Unfinished, all[4].Unfinished = true, true
	for name, tc := range map[string]struct {
		wish FilesSource
		want string
	}{
		"the latest is not whole":        {FilesSource{}, "day-003"},
		"the last before is not whole":   {FilesSource{Target: at(1)}, "day-000"},
		"a named one in which files are": {FilesSource{Snapshot: "day-003"}, "day-003"},
		"a named one that lacks files":   {FilesSource{Snapshot: "day-004"}, ""},
		"none that is whole is left":     {FilesSource{Without: []Span{{From: at(0).Add(-time.Hour), Until: at(3)}}}, ""},
	} {
		got, err := ChooseSnapshot(all, tc.wish)
		if got.ID != tc.want || (err != nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), "there are 3, the first of which") {
			t.Errorf("%s: %s, %v; want %q", name, got.ID, err, tc.want)
		}
	}
	if _, err := ChooseSnapshot(all[4:], FilesSource{}); err == nil || !strings.Contains(err.Error(), "there are none, and 1 in which files are missing") {
		t.Errorf("of one that lacks files: %v", err)
	}
	if c := CatalogueOf(all[1:]); c.Snapshots != 2 || c.Unfinished != 2 || c.Oldest.ID != "day-002" || c.Newest.ID != "day-003" || !c.EarliestStarted.Equal(all[1].StartedAt) {
		t.Errorf("the catalogue is %+v", c)
	}
	if _, err := ChooseSnapshot(nil, FilesSource{}); err == nil || !strings.Contains(err.Error(), "there are none") {
		t.Errorf("of none: %v", err)
	}
}

func TestWhatIsLeftIsComparedWithThePlan(t *testing.T) {
	all := daily(4, time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC))
	plan := FilesRemoval{IDs: []string{"day-000", "day-001"}}
	missing, remaining := SnapshotsAfterRemoval(plan, all, []Snapshot{all[1], all[3]})
	if !slices.Equal(missing, []string{"day-002"}) || !slices.Equal(remaining, []string{"day-001"}) {
		t.Errorf("missing %v, remaining %v", missing, remaining)
	}
}

func TestArgumentsOfApplicationDataAreComplete(t *testing.T) {
	target := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	source := FilesSource{Destination: "site-a", InstanceID: "acme-5f3k", Target: target, Snapshot: "918a", Without: []Span{{From: target, Until: target.Add(time.Hour)}}}
	for want, got := range map[string][]string{
		"agent backup files run --destination=site-a --instance-id=acme-5f3k --backup-days=180 --point-in-time-days=30 --held --verified=918a": FilesBackupOptions{
			Destination: "site-a", InstanceID: "acme-5f3k", BackupDays: 180, PointInTimeDays: 30, Verified: "918a", Held: true}.Args(),
		"agent backup files verify --destination=site-a --instance-id=acme-5f3k --target=2026-11-28T03:00:00Z --snapshot=918a --without=2026-11-28T03:00:00Z/2026-11-28T04:00:00Z": FilesVerifyOptions{source}.Args(),
		"agent backup files restore --destination=site-a --instance-id=acme-5f3k --restore=uid": FilesRestoreOptions{
			FilesSource: FilesSource{Destination: "site-a", InstanceID: "acme-5f3k"}, Restore: "uid"}.Args(),
	} {
		if strings.Join(got, " ") != want {
			t.Errorf("%s\nwant\n%s", strings.Join(got, " "), want)
		}
	}
	if read, err := ParseSpan(source.Without[0].String()); err != nil || !read.From.Equal(source.Without[0].From) || !read.Until.Equal(source.Without[0].Until) {
		t.Errorf("read back %v, %v", read, err)
	}
	for _, bad := range []string{"", "x/y", "2026-11-28T03:00:00Z", "2026-11-28T03:00:00Z/"} {
		if _, err := ParseSpan(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestAResultOfApplicationDataReadsBack(t *testing.T) {
	s := daily(1, time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC))[0]
	want := FilesResult{Job: JobVerify, Destination: "site-a", Recovery: &FilesRecovery{Snapshot: s, Later: true, Files: 3, Bytes: 4, Seconds: 5}}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got FilesResult
	if err := json.Unmarshal(raw, &got); err != nil || *got.Recovery != *want.Recovery {
		t.Errorf("%s became %+v, %v", raw, got, err)
	}
}

func TestAHalfMadeRepositoryHoldsAKeyAndNothingElse(t *testing.T) {
	for listed, want := range map[string]bool{
		`{".":{"type":"path"},"keys":{"type":"path"},"keys/ab12":{"type":"file","size":450}}`: true,
		`{".":{"type":"path"},"keys/ab12":{"type":"file"},"snapshots/12":{"type":"file"}}`:    false,
		`{".":{"type":"path"},"keys/ab12":{"type":"file"},"config":{"type":"file"}}`:          false,
		`{".":{"type":"path"},"keys/ab12":{"type":"file"},"else":{"type":"link"}}`:            false,
		`{".":{"type":"path"}}`: false,
		`{}`:                    false,
	} {
		if got, err := HalfMade([]byte(listed)); got != want || err != nil {
			t.Errorf("%s: %v, %v", listed, got, err)
		}
	}
	if _, err := HalfMade([]byte("ERROR")); err == nil {
		t.Error("what is no list was read")
	}
}
