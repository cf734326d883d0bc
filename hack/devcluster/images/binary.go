// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// programLayer builds the program of an image and wraps it as /usr/bin/PROGRAM.
func programLayer(ctx context.Context, d definition, opts Options) (*memoryLayer, error) {
	binary, err := buildProgram(ctx, d.program, opts)
	if err != nil {
		return nil, err
	}
	return binaryLayer(binary, "/usr/bin/"+string(d.program))
}

// buildProgram returns the path of a program on this machine, building it where needed.
func buildProgram(ctx context.Context, p program, opts Options) (string, error) {
	switch {
	case p == headscaleProgram:
		return buildTool(ctx, "headscale", opts)
	case opts.Binary != "":
		return opts.Binary, nil
	default:
		return buildFreehold(ctx, opts)
	}
}

// compiled holds what this process has compiled, by repository: linking takes as long as the rest of an image, and
// all images of one command shall hold the same program.
var compiled sync.Map

// buildFreehold compiles the repository's root package, once in a process. Go's own cache makes this quick when
// little changed, and without paths and commit stamps the same code gives the same bytes, hence the same image.
func buildFreehold(ctx context.Context, opts Options) (string, error) {
	if target, ok := compiled.Load(opts.Repo); ok {
		return target.(string), nil
	}
	unlock, err := lock(ctx, opts, "freehold-program")
	if err != nil {
		return "", err
	}
	defer unlock()
	done := step(opts.Progress, "compiling freehold")
	target := filepath.Join(opts.cacheDir(), "freehold")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", target+".partial", ".")
	cmd.Dir = opts.Repo
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if err := run(cmd); err != nil {
		return "", fmt.Errorf("compile freehold in %s: %w", opts.Repo, err)
	}
	if err := os.Rename(target+".partial", target); err != nil {
		return "", fmt.Errorf("put the compiled freehold in place: %w", err)
	}
	done()
	compiled.Store(opts.Repo, target)
	return target, nil
}

// buildTool builds a module of hack/tools through the script that everybody uses, and returns the path of
// the program of the same name.
func buildTool(ctx context.Context, tool string, opts Options) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(opts.Repo, "hack", "tools", "build.sh"), tool)
	cmd.Env = append(os.Environ(), "FREEHOLD_CACHE="+opts.Cache)
	cmd.Stderr = opts.Progress
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build hack/tools/%s: %w", tool, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), tool), nil
}

// binaryLayer wraps a program as a layer, after checking that it can run in an image that may hold no
// shared library at all.
func binaryLayer(binary, target string) (*memoryLayer, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the program for %s: %w", target, err)
	}
	if err := checkStatic(content); err != nil {
		return nil, fmt.Errorf("%s cannot go into an image: %w", binary, err)
	}
	return newMemoryLayer(map[string]File{target: {Content: content, Mode: 0o755}})
}

// checkStatic fails unless content is a Linux program that needs no dynamic loader.
func checkStatic(content []byte) error {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("it is not a Linux program: %w", err)
	}
	for _, header := range f.Progs {
		if header.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically; build it with CGO_ENABLED=0")
		}
	}
	return nil
}
