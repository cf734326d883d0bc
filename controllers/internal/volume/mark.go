// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Mark says which instance a volume belongs to. It stands on the volume, and in the cluster's own folder, where
// it is written before that folder gets its final name.
type Mark struct {
	// InstanceID of the instance that made the cluster.
	InstanceID string `json:"instanceID"`
}

// PartialSuffix ends the names of what is not finished.
const PartialSuffix = ".partial"

// ReadMark returns nil when there is no mark.
func ReadMark(path string) (*Mark, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the mark that says whose volume this is: %w", err)
	}
	var mark Mark
	if err := json.Unmarshal(content, &mark); err != nil {
		return nil, fmt.Errorf("the mark %s, which says whose volume this is, cannot be understood: %w", path, err)
	}
	if mark.InstanceID == "" {
		return nil, fmt.Errorf("the mark %s, which says whose volume this is, names no instance", path)
	}
	return &mark, nil
}

// WriteMark leaves either the whole mark or none, also when the machine fails in between.
func WriteMark(path string, mark Mark) error {
	content, err := json.Marshal(mark)
	if err != nil {
		return fmt.Errorf("encode the volume's mark: %w", err)
	}
	return WriteFile(path, append(content, '\n'))
}

// WriteFile leaves either the whole file or the one before, also when the machine fails in between. What it has not
// finished has the name with PartialSuffix.
func WriteFile(path string, content []byte) error {
	partial := path + PartialSuffix
	if err := writeSynced(partial, content); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("put %s in place: %w", filepath.Base(path), err)
	}
	return SyncFolder(filepath.Dir(path))
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// SyncFolder makes names in a folder survive a failure of the machine.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the folder %s to write it to disk: %w", path, err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("write the folder %s to disk: %w", path, err)
	}
	return nil
}
