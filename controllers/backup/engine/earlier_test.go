// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// bare is a repository without anything to come in with.
func bare(r Repository) Repository {
	r.Credentials, r.Passphrase, r.Host = nil, "", ""
	return r
}

func TestWhatCannotBeConfiguredAnewStaysByteByByte(t *testing.T) {
	host := Database{Host: "db"}
	bundle := authority(t)
	second := s3("", 0, bundle)
	second.Generation, second.Number = 2, NumberOf(0, 2)
	shelf := volume()
	shelf.Number = 6
	all := []Repository{s3("", 0, bundle), gcs(), azureWith(CredentialAccountKey, "Zm9v"), sftp(), shelf, second}
	makers := map[string]func([]Repository) (map[string][]byte, error){
		"Archive":          func(r []Repository) (map[string][]byte, error) { return Files(PodArchive, r, Database{}) },
		"Job":              func(r []Repository) (map[string][]byte, error) { return Files(PodJob, r, host) },
		"application data": ApplicationFiles,
	}
	for name, files := range makers {
		before, err := files(all)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range all {
			then := slices.Clone(all)
			was, found := bare(r).AsIn(before)
			if !found && name == "application data" && !KeepsFiles(r.Destination) {
				continue
			}
			then[i] = was
			after, err := files(then)
			if err != nil {
				t.Fatal(err)
			}
			if !found || !maps.EqualFunc(before, after, slices.Equal) {
				t.Errorf("%s: generation %d of %s was found: %t, and is\n%s\nwant\n%s", name, r.Generation, r.Destination.Name, found, after, before)
			}
		}
	}
}

func TestARepositoryGoesWithAllOfItsFilesAndTheOthersStay(t *testing.T) {
	second := s3("", 0, "")
	second.Generation, second.Number = 2, NumberOf(0, 2)
	both, err := Files(PodJob, []Repository{s3("", 0, ""), second}, Database{Host: "db"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Files(PodJob, []Repository{s3("", 0, "")}, Database{Host: "db"})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := bare(s3("", 0, "")).AsIn(both)
	got, err := Files(PodJob, []Repository{first}, Database{Host: "db"})
	if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestAnEarlierGenerationDoesNotPutBackWhatWasReplaced(t *testing.T) {
	second := sftp()
	second.Generation, second.Number = 2, NumberOf(3, 2)
	before, err := Files(PodJob, []Repository{sftp(), second}, Database{Host: "db"})
	if err != nil {
		t.Fatal(err)
	}
	first := sftp()
	first.Credentials = map[string][]byte{CredentialSSHKey: sshKey("openssh-key-v1\x00\x00\x00\x00\x04none\x00 replaced")}
	want, err := Files(PodJob, []Repository{first}, Database{Host: "db"})
	if err != nil {
		t.Fatal(err)
	}
	was, _ := bare(second).AsIn(before)
	got, err := Files(PodJob, []Repository{first, was}, Database{Host: "db"})
	if file := "cellar" + sshKeySuffix; err != nil || !slices.Equal(got[file], want[file]) || slices.Equal(got[file], before[file]) {
		t.Errorf("%s, %v, want %s", got[file], err, want[file])
	}
}

func TestARepositoryFollowsItsDestinationToAnotherNumber(t *testing.T) {
	before, err := Files(PodArchive, []Repository{sftp()}, Database{})
	if err != nil {
		t.Fatal(err)
	}
	first := sftp()
	first.Number = 1
	want, err := Files(PodArchive, []Repository{first}, Database{})
	if err != nil {
		t.Fatal(err)
	}
	was, _ := bare(first).AsIn(before)
	got, err := Files(PodArchive, []Repository{was}, Database{})
	if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestWhatAConfigurationDoesNotHaveIsNotTakenOutOfIt(t *testing.T) {
	files, err := Files(PodArchive, []Repository{s3("", 0, "")}, Database{})
	if err != nil {
		t.Fatal(err)
	}
	second := s3("", 0, "")
	second.Generation = 2
	broken := maps.Clone(files)
	broken[meta.KeyPgBackRestConf] = []byte("[global]\n")
	for name, c := range map[string]struct {
		of Repository
		in map[string][]byte
	}{
		"another destination":              {sftp(), files},
		"another generation":               {second, files},
		"somebody emptied pgbackrest.conf": {s3("", 0, ""), broken},
		"nothing can be read":              {s3("", 0, ""), map[string][]byte{meta.KeyDestinations: []byte("{")}},
	} {
		if _, found := c.of.AsIn(c.in); found {
			t.Errorf("%s: found", name)
		}
	}
}
