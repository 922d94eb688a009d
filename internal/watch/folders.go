package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// mostFolders bounds how many are watched: a glob that is too wide is an error, before
// it takes what all programs of the user have together.
const mostFolders = 20000

// watcher is what folders need of fsnotify.
type watcher interface {
	Add(path string) error
	Remove(path string) error
}

// folders are those that are watched.
type folders struct {
	matcher *matcher
	watcher watcher
	watched map[string]bool
	most    int
}

func newFolders(m *matcher, w watcher) *folders {
	return &folders{matcher: m, watcher: w, watched: map[string]bool{}, most: mostFolders}
}

// rescan watches all that is there now, and gives the files that count in folders that
// weren't watched before. Where the base of a glob isn't there, the nearest folder above
// is watched, so that it is seen when it comes; likewise where the base is a symbolic
// link, which may be pointed elsewhere.
func (f *folders) rescan() (found []string, err error) {
	for _, g := range f.matcher.paths {
		more, err := f.rescanOne(g.base)
		if found = append(found, more...); err != nil {
			return found, err
		}
	}
	return found, nil
}

// looks bounds how often a look is repeated since folders come and go meanwhile.
const looks = 100

func (f *folders) rescanOne(base string) (found []string, err error) {
	for range looks {
		nearest, err := f.watchAbove(base)
		if err != nil || nearest != base {
			return found, err
		}
		more, err := f.descend(base)
		if found = append(found, more...); err != nil || f.watched[base] {
			return found, err
		}
	}
	return found, nil
}

// watchAbove watches the folder that tells when a base comes or is replaced, and gives the
// nearest to it that is there. It looks again after that: of what came, or went, before the
// watch began nobody would tell.
func (f *folders) watchAbove(base string) (nearest string, err error) {
	for range looks {
		nearest = nearestFolder(base)
		folder := nearest
		if nearest == base {
			if !isLink(base) {
				return base, nil
			}
			folder = filepath.Dir(base)
		}
		if err := f.watch(folder); err != nil {
			return nearest, err
		}
		if f.watched[folder] && nearestFolder(base) == nearest {
			break
		}
	}
	return nearest, nil
}

func nearestFolder(path string) string {
	for !isFolder(path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// descend watches a folder and those below it that may hold what counts.
func (f *folders) descend(root string) (found []string, err error) {
	fresh := map[string]bool{}
	err = filepath.WalkDir(root+"/", func(path string, d fs.DirEntry, err error) error {
		path = filepath.Clean(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return nil // it was just removed, or is nothing that one may see
		case err != nil:
			return fmt.Errorf("watch: %w", err)
		case !d.IsDir():
			if fresh[filepath.Dir(path)] && f.matcher.counts(path) {
				found = append(found, path)
			}
			return nil
		case !f.matcher.holds(path):
			return fs.SkipDir
		case f.watched[path]:
			return nil
		}
		fresh[path] = true
		return f.watch(path)
	})
	return found, err
}

func (f *folders) watch(path string) error {
	if !f.watched[path] && len(f.watched) >= f.most {
		return fmt.Errorf("watch: there are more than %d folders to watch, at %s; hint: have the globs begin further down, or ignore what needs no watch", f.most, path)
	}
	err := f.watcher.Add(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil // it was just removed
	case err != nil:
		return explain(err, path)
	}
	f.watched[path] = true
	return nil
}

// event takes one event of a folder, and gives the files that have changed by it.
func (f *folders) event(e fsnotify.Event) (found []string, err error) {
	if e.Has(fsnotify.Chmod) && !e.Has(fsnotify.Write|fsnotify.Create|fsnotify.Remove|fsnotify.Rename) && !touched(e.Name) {
		return nil, nil
	}
	if e.Has(fsnotify.Remove|fsnotify.Rename) && f.watched[e.Name] {
		f.forget(e.Name)
		found, err = f.rescan()
		return append(found, e.Name), err // what was in it is gone
	}
	if e.Has(fsnotify.Create) && isFolder(e.Name) {
		f.forget(e.Name) // another by that name
		return f.appeared(e.Name)
	}
	if f.matcher.counts(e.Name) && !isFolder(e.Name) {
		found = append(found, e.Name)
	}
	return found, nil
}

// appeared watches a folder that is new; the files that it came with are changes.
func (f *folders) appeared(folder string) (found []string, err error) {
	if f.matcher.holds(folder) {
		return f.descend(folder)
	}
	for _, g := range f.matcher.paths {
		if within(folder, g.base) {
			return f.rescan()
		}
	}
	return nil, nil
}

// forget ends the watch of a folder that is gone, or has another name, and of those below.
func (f *folders) forget(folder string) {
	for path := range f.watched {
		if within(folder, path) {
			delete(f.watched, path)
			_ = f.watcher.Remove(path) // the kernel may have done so
		}
	}
}

// touched says whether the time of a file was just set, as touch(1) does. Another change
// of its attributes is none of the file.
func touched(path string) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()).Abs() < 2*time.Second
}

// explain says what to do where the system has no more to give.
func explain(err error, path string) error {
	where := ""
	if path != "" {
		where = " " + path
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("watch%s: %w", where, err)
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("watch%s: this user has no inotify watch left, one a folder (fs.inotify.max_user_watches is %s); hint: ignore folders that need no watch, or as root: sysctl fs.inotify.max_user_watches=524288", where, limit("max_user_watches"))
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("watch%s: this user has no inotify instance left, one a project with watch (fs.inotify.max_user_instances is %s); hint: as root: sysctl fs.inotify.max_user_instances=1024", where, limit("max_user_instances"))
	}
	return fmt.Errorf("watch%s: %w", where, err)
}

// limit is one of inotify(7).
func limit(name string) string {
	text, err := os.ReadFile("/proc/sys/fs/inotify/" + name)
	if err != nil {
		return "not known"
	}
	return strings.TrimSpace(string(text))
}
