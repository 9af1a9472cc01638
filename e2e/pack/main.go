// pack makes archives of container images (OCI) from programs that were built already, without a container engine.
// The same input gives the same bytes.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

const usage = `usage: pack MAP.json OUT.tar
       pack CONTAINERFILE REFERENCE OUT.tar

The first makes the images that a JSON file lists (the fields: image.go). The second makes one image from a Containerfile
that begins with FROM scratch and runs nothing.
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var pictures []picture
	if len(args) == 2 {
		read := json.NewDecoder(bytes.NewReader(text))
		read.DisallowUnknownFields()
		err = read.Decode(&pictures)
	} else {
		var one picture
		one, err = fromContainerfile(string(text))
		one.Reference = args[1]
		pictures = []picture{one}
	}
	if err == nil {
		err = write(args[len(args)-1], pictures)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// write replaces the archive once it is whole.
func write(archive string, pictures []picture) error {
	out, err := os.Create(archive + ".new")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := writeArchive(out, pictures); err != nil {
		return err
	}
	return os.Rename(out.Name(), archive)
}
