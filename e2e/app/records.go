package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A file of records is what a database's log is: a line each, "NUMBER POD TIME", the numbers without a gap. Who writes
// holds a lock on it as long as it lives; a second writer at the same time leaves a mark beside the file.
type records struct {
	file *os.File
	last int
}

var (
	opened  *records
	opening sync.Mutex
)

func openRecords(path string) (*records, error) {
	if path == "" {
		return nil, errors.New("APP_APPEND names no file")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		host, _ := os.Hostname()
		_ = os.WriteFile(path+".overlap-"+host, nil, 0o644)
		return nil, fmt.Errorf("another writer is at work: %w", err)
	}
	found, err := readRecords(path)
	if err != nil {
		return nil, err
	}
	return &records{f, found.Last}, nil
}

// append returns the number of the record, when it is on the disk.
func (r *records) append() (int, error) {
	host, _ := os.Hostname()
	if _, err := fmt.Fprintf(r.file, "%d %s %d\n", r.last+1, host, time.Now().UnixMilli()); err != nil {
		return 0, err
	}
	if err := r.file.Sync(); err != nil {
		return 0, err
	}
	r.last++
	return r.last, nil
}

func appendOne(path string) (int, error) {
	opening.Lock()
	defer opening.Unlock()
	if opened == nil {
		r, err := openRecords(path)
		if err != nil {
			return 0, err
		}
		opened = r
	}
	return opened.append()
}

func appendRecords(args []string) error {
	if len(args) == 0 {
		return errors.New("use: append FILE [-every D] [-count N]")
	}
	flags := flag.NewFlagSet("append", flag.ContinueOnError)
	every := flags.Duration("every", 0, "")
	count := flags.Int("count", 1, "")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	r, err := openRecords(args[0])
	for i := 0; err == nil && i < *count; i++ {
		var n int
		if n, err = r.append(); err == nil {
			fmt.Println(n)
			time.Sleep(*every)
		}
	}
	return err
}

// account is what can be said of a file of records.
type account struct {
	Last     int      `json:"last"`     // number of the last record
	Broken   []string `json:"broken"`   // lines that are not the next record
	Writers  []string `json:"writers"`  // pods, in the order of their records
	Overlaps int      `json:"overlaps"` // times that a writer has found another one at work
}

func readRecords(path string) (account, error) {
	a := account{Broken: []string{}, Writers: []string{}}
	f, err := os.Open(path)
	if err != nil {
		return a, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var n int
		var pod string
		if _, err := fmt.Sscan(lines.Text(), &n, &pod); err != nil || n != a.Last+1 || strings.Count(lines.Text(), " ") != 2 {
			a.Broken = append(a.Broken, lines.Text())
			continue
		}
		a.Last = n
		if len(a.Writers) == 0 || a.Writers[len(a.Writers)-1] != pod {
			a.Writers = append(a.Writers, pod)
		}
	}
	marks, _ := filepath.Glob(path + ".overlap-*")
	a.Overlaps = len(marks)
	return a, lines.Err()
}

func verifyRecords(args []string) error {
	if len(args) != 1 {
		return errors.New("use: verify FILE")
	}
	a, err := readRecords(args[0])
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	if len(a.Broken) > 0 || a.Overlaps > 0 {
		return errors.New("records are broken")
	}
	return nil
}
