package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// picture is one image of an archive. All paths of the machine are relative to the current directory.
type picture struct {
	Reference string `json:"reference"` // as pods have it; short ones are Docker Hub's
	// What is in it, by the path in the image: a program of the machine ("file"), what a link leads to ("link"), or
	// text ("text"); with none of them a directory. Folders above a path are made.
	Content map[string]entry `json:"content"`
	// Links in /bin, or elsewhere if the name is a path, by what they lead to.
	Links      map[string][]string `json:"links"`
	Base       string              `json:"base"` // the reference of another one of the archive whose content comes first
	Entrypoint []string            `json:"entrypoint"`
	Command    []string            `json:"command"`
	Env        []string            `json:"env"`
	User       string              `json:"user"`
	WorkingDir string              `json:"workingDir"`
	StopSignal string              `json:"stopSignal"`
	Labels     map[string]string   `json:"labels"`
}

type entry struct {
	File  string `json:"file"`
	Link  string `json:"link"`
	Text  string `json:"text"`
	Mode  int64  `json:"mode"`  // 0: 0755, and 0644 of a text
	Owner [2]int `json:"owner"` // user and group
}

type blob struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	data        []byte
}

func newBlob(kind string, data []byte) blob {
	return blob{MediaType: "application/vnd.oci.image." + kind, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)), Size: len(data), data: data}
}

func writeArchive(out io.Writer, pictures []picture) error {
	blobs := map[string]blob{} // one for all images that share it
	layers := map[string][]blob{}
	var index []blob
	keep := func(b blob) blob {
		blobs[b.Digest] = b
		return b
	}
	for _, p := range pictures {
		var below []blob
		if p.Base != "" {
			var ok bool
			if below, ok = layers[p.Base]; !ok {
				return fmt.Errorf("image %s: its base %s does not come before it", p.Reference, p.Base)
			}
		}
		all := slices.Clone(below)
		p.expandLinks()
		if len(p.Content) > 0 {
			layer, err := p.layer()
			if err != nil {
				return fmt.Errorf("image %s: %w", p.Reference, err)
			}
			all = append(all, keep(newBlob("layer.v1.tar", layer)))
		}
		layers[p.Reference] = all
		var digests []string
		for _, l := range all {
			digests = append(digests, l.Digest)
		}
		config := keep(newBlob("config.v1+json", encode(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux",
			"config": map[string]any{
				"Entrypoint": p.Entrypoint, "Cmd": p.Command, "Env": p.Env, "User": p.User, "WorkingDir": p.WorkingDir, "StopSignal": p.StopSignal, "Labels": p.Labels,
			},
			"rootfs": map[string]any{"type": "layers", "diff_ids": digests},
		})))
		manifest := keep(newBlob("manifest.v1+json", encode(map[string]any{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": all,
		})))
		manifest.Annotations = map[string]string{"io.containerd.image.name": fullReference(p.Reference)}
		index = append(index, manifest)
	}
	archive := tar.NewWriter(out)
	add := func(name string, data []byte) error { return addFile(archive, name, data, 0o644, [2]int{}) }
	if err := add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := add("index.json", encode(map[string]any{"schemaVersion": 2, "manifests": index})); err != nil {
		return err
	}
	for _, digest := range slices.Sorted(maps.Keys(blobs)) {
		if err := add("blobs/sha256/"+strings.TrimPrefix(digest, "sha256:"), blobs[digest].data); err != nil {
			return err
		}
	}
	return archive.Close()
}

// fullReference is what nodes make of the reference in a pod.
func fullReference(reference string) string {
	if last := reference[strings.LastIndex(reference, "/")+1:]; !strings.Contains(last, ":") {
		reference += ":latest"
	}
	registry, rest, several := strings.Cut(reference, "/")
	switch {
	case !several:
		return "docker.io/library/" + reference
	case rest != "" && !strings.ContainsAny(registry, ".:") && registry != "localhost":
		return "docker.io/" + reference
	}
	return reference
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // of maps and strings
	}
	return text
}

func addFile(t *tar.Writer, name string, data []byte, mode int64, owner [2]int) error {
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: mode, Uid: owner[0], Gid: owner[1]})
	if err == nil {
		_, err = t.Write(data)
	}
	return err
}

func (p *picture) expandLinks() {
	all := maps.Clone(p.Content)
	if all == nil {
		all = map[string]entry{}
	}
	for target, names := range p.Links {
		for _, name := range names {
			if !strings.Contains(name, "/") {
				name = "/bin/" + name
			}
			all[name] = entry{Link: target}
		}
	}
	p.Content = all
}

func (p *picture) layer() ([]byte, error) {
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	made := map[string]bool{".": true, "/": true}
	folder := func(name string, mode int64, owner [2]int) error {
		made[name] = true
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, Uid: owner[0], Gid: owner[1]})
	}
	for _, where := range slices.Sorted(maps.Keys(p.Content)) {
		e := p.Content[where]
		name := strings.TrimPrefix(path.Clean("/"+where), "/")
		var above []string
		for dir := path.Dir(name); !made[dir]; dir = path.Dir(dir) {
			above = append(above, dir)
		}
		for _, dir := range slices.Backward(above) {
			if err := folder(dir, 0o755, [2]int{}); err != nil {
				return nil, err
			}
		}
		mode := e.Mode
		if mode == 0 {
			mode = 0o755
			if e.Text != "" {
				mode = 0o644
			}
		}
		var err error
		switch {
		case e.Link != "":
			err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: e.Link, Mode: 0o777, Uid: e.Owner[0], Gid: e.Owner[1]})
		case e.Text != "":
			err = addFile(t, name, []byte(e.Text), mode, e.Owner)
		case e.File != "":
			var data []byte
			if data, err = os.ReadFile(e.File); err == nil {
				err = addFile(t, name, data, mode, e.Owner)
			}
		default:
			err = folder(name, mode, e.Owner)
		}
		if err != nil {
			return nil, err
		}
	}
	err := t.Close()
	return out.Bytes(), err
}
