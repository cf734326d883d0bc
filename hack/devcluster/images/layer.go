// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fileLayer is an uncompressed layer in a file whose digest is already known, so that composing an image
// does not read hundreds of megabytes only to hash them. It implements v1.Layer.
type fileLayer struct {
	path string
	hash v1.Hash
	size int64
}

// Digest is that of the file; the layer is not compressed, so it equals DiffID.
func (l *fileLayer) Digest() (v1.Hash, error) { return l.hash, nil }

// DiffID is the digest of the uncompressed layer.
func (l *fileLayer) DiffID() (v1.Hash, error) { return l.hash, nil }

// Compressed opens the file as it is.
func (l *fileLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed opens the file as it is.
func (l *fileLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Size is that of the file in bytes.
func (l *fileLayer) Size() (int64, error) { return l.size, nil }

// MediaType says that the layer is not compressed.
func (l *fileLayer) MediaType() (types.MediaType, error) { return types.DockerUncompressedLayer, nil }

// sealLayer moves a finished layer to path and records its digest beside it. The record is written last:
// without it the layer counts as missing.
func sealLayer(partial, path string) error {
	f, err := os.Open(partial)
	if err != nil {
		return fmt.Errorf("open a new layer: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("hash a new layer: %w", err)
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("put a new layer in place: %w", err)
	}
	return writeFile(path+".sha256", fmt.Appendf(nil, "%x\n", h.Sum(nil)))
}

// openLayer returns the layer at path with its recorded digest, or an error when it is not complete.
func openLayer(path string) (*fileLayer, error) {
	sum, err := os.ReadFile(path + ".sha256")
	if err != nil {
		return nil, fmt.Errorf("open a cached layer: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open a cached layer: %w", err)
	}
	hash, err := v1.NewHash("sha256:" + strings.TrimSpace(string(sum)))
	if err != nil {
		return nil, fmt.Errorf("the digest recorded for %s is damaged: %w", path, err)
	}
	return &fileLayer{path: path, hash: hash, size: info.Size()}, nil
}

// File is a file to put into an image, owned by root.
type File struct {
	Content []byte
	// Mode holds the permission bits; 0 means 0644.
	Mode int64
}

// writeTar writes files, by absolute path, and the directories above them as a tar whose bytes depend on
// nothing but the arguments.
func writeTar(w io.Writer, files map[string]File) error {
	tw := tar.NewWriter(w)
	for _, name := range withParents(files) {
		header := &tar.Header{Name: strings.TrimPrefix(name, "/"), ModTime: time.Unix(epoch, 0), Format: tar.FormatPAX}
		file, isFile := files[name]
		if isFile {
			header.Typeflag, header.Mode, header.Size = tar.TypeReg, file.Mode, int64(len(file.Content))
			if file.Mode == 0 {
				header.Mode = 0o644
			}
		} else {
			header.Typeflag, header.Mode, header.Name = tar.TypeDir, 0o755, header.Name+"/"
		}
		if err := tw.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s into a layer: %w", name, err)
		}
		if _, err := tw.Write(file.Content); err != nil {
			return fmt.Errorf("write %s into a layer: %w", name, err)
		}
	}
	return tw.Close()
}

// withParents returns the cleaned paths of the files and of every directory above them, parents first.
func withParents(files map[string]File) []string {
	seen := map[string]bool{}
	for name := range files {
		for p := path.Clean(name); p != "/" && p != "."; p = path.Dir(p) {
			seen[p] = true
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// memoryLayer is a small layer made of files; it implements v1.Layer like fileLayer does.
type memoryLayer struct{ content []byte }

// newMemoryLayer makes a layer of files given by absolute, clean path.
func newMemoryLayer(files map[string]File) (*memoryLayer, error) {
	for name := range files {
		if !path.IsAbs(name) || path.Clean(name) != name {
			return nil, fmt.Errorf("%q is not an absolute, clean path for a file of an image", name)
		}
	}
	var buffer bytes.Buffer
	if err := writeTar(&buffer, files); err != nil {
		return nil, err
	}
	return &memoryLayer{content: buffer.Bytes()}, nil
}

// Digest is that of the content; the layer is not compressed, so it equals DiffID.
func (l *memoryLayer) Digest() (v1.Hash, error) { return l.DiffID() }

// DiffID is the digest of the uncompressed layer.
func (l *memoryLayer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.content))
	return h, err
}

// Compressed returns the content as it is.
func (l *memoryLayer) Compressed() (io.ReadCloser, error) { return l.Uncompressed() }

// Uncompressed returns the content as it is.
func (l *memoryLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.content)), nil
}

// Size is that of the content in bytes.
func (l *memoryLayer) Size() (int64, error) { return int64(len(l.content)), nil }

// MediaType says that the layer is not compressed.
func (l *memoryLayer) MediaType() (types.MediaType, error) { return types.DockerUncompressedLayer, nil }
