// kstatus says what kstatus, by which Flux and Helm wait, makes of objects: one per line on standard input, as JSON; on
// standard output a line for each: the verdict (InProgress, Failed, Current, Terminating, Unknown), a tab, and why.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func judge(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	answers := bufio.NewWriter(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var object unstructured.Unstructured
			if err := object.UnmarshalJSON(line); err != nil {
				return err
			}
			said, err := status.Compute(&object)
			if err != nil {
				return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
			}
			fmt.Fprintf(answers, "%s\t%s\n", said.Status, strings.Join(strings.Fields(said.Message), " "))
		}
		if errors.Is(err, io.EOF) {
			return answers.Flush()
		} else if err != nil {
			return err
		}
	}
}
