"""Safe reading of untrusted files, and writing that never leaves incomplete files.

- `hdf5` opens HDF5 files, and refuses those that refer to other files. `heaps` and `attributes`
  check the attributes of such files. `blocks` reads large arrays in blocks. `create` writes files
  to disks that may be full. `chunks` reads and writes stored chunks.
- `folder` checks a folder before pdesim writes into it. `replace` replaces files atomically.
- `text` reads YAML and limits its size after aliases are expanded. `interpolation` limits the size
  of settings after each ``${...}`` is replaced.
- `inputs` reads images and frames that are named in formulas.
- `readers` closes files that this process reads before it writes them.
- `version` checks the version of a file's layout.
"""

from pdesim.errors import printable
from pdesim.files.blocks import StoredArray, stored_array
from pdesim.files.chunks import chunk_cells, frame_chunks, read_chunk, write_chunk
from pdesim.files.create import RESERVE, abandon, changing, check_space, creating
from pdesim.files.folder import (
    as_path,
    check_creatable,
    check_folder,
    check_own_file,
    check_path,
    check_sweep_folder,
    is_path,
    is_run_file,
    make_folder,
    new_folder,
    not_made,
    read_lines,
    read_text,
)
from pdesim.files.hdf5 import (
    UNREADABLE,
    check_stored,
    dataset,
    open_hdf5,
    open_hdf5_for_writing,
    read_array,
    read_attributes,
    reading,
)
from pdesim.files.inputs import (
    StoredFrame,
    memory,
    picture_size,
    read_cells,
    read_centres,
    read_frame,
    read_picture,
    resize,
)
from pdesim.files.interpolation import check_interpolations
from pdesim.files.readers import register
from pdesim.files.replace import (
    check_target,
    clear_left_behind,
    clear_name,
    clear_pictures_left_behind,
    replacing,
    write_text,
    writing,
)
from pdesim.files.text import check_aliases, dump_yaml, load_yaml
from pdesim.files.version import check_version

__all__ = [
    "RESERVE",
    "UNREADABLE",
    "StoredArray",
    "StoredFrame",
    "abandon",
    "as_path",
    "changing",
    "check_aliases",
    "check_creatable",
    "check_folder",
    "check_interpolations",
    "check_own_file",
    "check_path",
    "check_space",
    "check_stored",
    "check_sweep_folder",
    "check_target",
    "check_version",
    "chunk_cells",
    "clear_left_behind",
    "clear_name",
    "clear_pictures_left_behind",
    "creating",
    "dataset",
    "dump_yaml",
    "frame_chunks",
    "is_path",
    "is_run_file",
    "load_yaml",
    "make_folder",
    "memory",
    "new_folder",
    "not_made",
    "open_hdf5",
    "open_hdf5_for_writing",
    "picture_size",
    "printable",
    "read_array",
    "read_attributes",
    "read_cells",
    "read_centres",
    "read_chunk",
    "read_frame",
    "read_lines",
    "read_picture",
    "read_text",
    "reading",
    "register",
    "replacing",
    "resize",
    "stored_array",
    "write_chunk",
    "write_text",
    "writing",
]
