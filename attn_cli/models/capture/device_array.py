"""Tensors on a device, in the form in which collectors take arrays: see `data.elsewhere`.

What NumPy's protocols ask for is looked up in two tables, and computed by torch where the tensor is. Whatever is not in
them is computed by NumPy, from a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn.functional import pad

from attn_cli.data.elsewhere import Elsewhere
from attn_cli.data.shapes import Int
from attn_cli.models.capture.slices import to_host

__all__ = ["DeviceArray", "as_array", "stays"]


def stays(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is on a device that its numbers would have to be copied from."""
    return tensor.device.type != "cpu"


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array that stays where it is, in float32."""
    return cast("np.ndarray", DeviceArray(tensor.float()))


class DeviceArray(NDArrayOperatorsMixin, Elsewhere):
    """A tensor that passes for a NumPy array.

    Args:
        tensor: the tensor; it is shared, not copied.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    @property  # type: ignore[misc]  # as proxies do, so that what is written for arrays accepts it; NumPy itself is not deceived by that
    def __class__(self) -> type:
        return np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.tensor.ndim

    @property
    def size(self) -> int:
        """The number of values."""
        return self.tensor.numel()

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's name of the number type."""
        return np.dtype(str(self.tensor.dtype).removeprefix("torch."))

    @property
    def T(self) -> DeviceArray:  # noqa: N802 - NumPy's name
        """The array with its axes reversed."""
        return DeviceArray(self.tensor.permute(*reversed(range(self.ndim))))

    def __len__(self) -> int:
        return len(self.tensor)

    def __iter__(self) -> Iterator[DeviceArray]:
        return map(DeviceArray, self.tensor)

    def __float__(self) -> float:
        return float(self.tensor)

    def __int__(self) -> int:
        return int(self.tensor)

    def __bool__(self) -> bool:
        return bool(self.tensor)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy  # it always is one
        array = to_host(self.tensor, double=True)
        return array if dtype is None else array.astype(dtype, copy=False)

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()

    def __getitem__(self, key: Any) -> DeviceArray:
        return DeviceArray(self.tensor[self._index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tensor[self._index(key)] = self._put(value).to(self.tensor.dtype)

    def _index(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(map(self._index, key))
        return self._put(key) if isinstance(key, np.ndarray | list) else key

    def _put(self, value: Any) -> torch.Tensor:
        """Return a value as a tensor where this one is; a single number stays one, which takes the others' type."""
        if type(value) is DeviceArray:
            return value.tensor.to(self.tensor.device)
        if isinstance(value, np.generic):
            value = value.item()
        if not isinstance(value, np.ndarray | list):
            return torch.tensor(value)
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(self._name(np.float64), copy=False)
        return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self.tensor.device)

    def _name(self, dtype: Any) -> str:
        """Return the name of a number type; that of Apple's devices which comes nearest to float64 is float32."""
        name = np.dtype(dtype).name
        return "float32" if name == "float64" and self.tensor.device.type == "mps" else name

    def _type(self, dtype: Any) -> torch.dtype | None:
        return None if dtype is None else cast("torch.dtype", getattr(torch, self._name(dtype)))

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        (out,) = options.pop("out", (None,))
        where = options.pop("where", True)
        on_host = out is not None and type(out) is not DeviceArray
        known = function in COMPUTED if method == "__call__" else (method, function) in REDUCED
        if on_host or not known:
            if out is not None:
                options["out"] = (_home(out),)
            if where is not True:
                options["where"] = _home(where)
            result = getattr(function, method)(*map(_home, inputs), **options)
            if out is not None and not on_host:
                out[...] = result
            return result if out is None else out
        if method == "reduceat":
            return self._reduced(REDUCED[method, function], *inputs, **options)
        result = COMPUTED[function](*map(self._put, inputs))
        if out is None:
            return DeviceArray(result)
        out.tensor.copy_(result if where is True else torch.where(self._put(where), result, out.tensor))
        return out

    def _reduced(
        self,
        how: str,
        array: DeviceArray,
        starts: Int[np.ndarray, "run"] | Sequence[int],
        axis: int = 0,
        dtype: Any = None,
    ) -> DeviceArray:
        """Reduce the runs along an axis that begin at each of these places; the first is 0, and all are different."""
        values = array.tensor.movedim(axis, -1)
        values = values.to(self._type(dtype) or values.dtype)
        bounds = np.asarray(starts)
        if not len(bounds) or bounds[0] != 0 or (np.diff(bounds) < 1).any():
            raise ValueError("runs must follow one another from the first value on")
        length = values.shape[-1]
        runs = self._put(np.repeat(np.arange(len(bounds)), np.diff(bounds, append=length))).expand(values.shape)
        shape = (*values.shape[:-1], len(bounds))
        if how == "sum":
            return DeviceArray(values.new_zeros(shape).scatter_add_(-1, runs, values).movedim(-1, axis))
        numbers = values.masked_fill(values.isnan(), -torch.inf)
        most = values.new_full(shape, -torch.inf).scatter_reduce_(-1, runs, numbers, how)
        return DeviceArray(most.masked_fill_(most == -torch.inf, torch.nan).movedim(-1, axis))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        del types
        if function in FUNCTIONS:
            return FUNCTIONS[function](self, *args, **kwargs)
        return function(*map(_home, args), **{name: _home(value) for name, value in kwargs.items()})

    def sum(self, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> DeviceArray:
        """Return the sums along some axes, or of everything."""
        axes = tuple(range(self.ndim)) if axis is None else axis
        return DeviceArray(self.tensor.sum(axes, keepdim=keepdims, dtype=self._type(dtype)))

    def mean(self, axis: Any = None) -> DeviceArray:
        """Return the means along some axes, or of everything."""
        return DeviceArray(self.tensor.mean(axis))

    def max(self, axis: Any = None, *, keepdims: bool = False, initial: float | None = None) -> DeviceArray:
        """Return the largest values along some axes, or of everything, and of a first value."""
        return self._most(torch.amax, torch.maximum, axis, keepdims, initial)

    def min(self, axis: Any = None, *, keepdims: bool = False, initial: float | None = None) -> DeviceArray:
        """Return the smallest values along some axes, or of everything, and of a first value."""
        return self._most(torch.amin, torch.minimum, axis, keepdims, initial)

    def _most(self, end: Any, of_two: Any, axis: Any, keepdims: bool, initial: float | None) -> DeviceArray:
        axes = tuple(range(self.ndim)) if axis is None else axis
        if initial is None:
            return DeviceArray(end(self.tensor, axes, keepdim=keepdims))
        first = torch.tensor(initial, dtype=self.tensor.dtype)
        if not self.size:
            shape = self.tensor.sum(axes, keepdim=keepdims).shape
            return DeviceArray(first.to(self.tensor.device).expand(shape))
        return DeviceArray(of_two(end(self.tensor, axes, keepdim=keepdims), first))

    def argmax(self, axis: int) -> DeviceArray:
        """Return the place of the largest value along an axis."""
        return DeviceArray(self.tensor.argmax(axis))

    def any(self, axis: Any = None) -> DeviceArray:
        """Return whether any value along an axis is true, or any at all."""
        return DeviceArray(self.tensor.any() if axis is None else self.tensor.any(axis))

    def reshape(self, *shape: Any) -> DeviceArray:
        """Return the values in another shape."""
        return DeviceArray(self.tensor.reshape(*shape))

    def astype(self, dtype: Any) -> DeviceArray:
        """Return the values in another number type."""
        return DeviceArray(self.tensor.to(self._type(dtype)))

    def tolist(self) -> Any:
        """Return the values as Python's own."""
        return np.asarray(self).tolist()

    def largest(self, count: int) -> Int[np.ndarray, "some"]:
        flat = self.tensor.flatten()
        return to_host(torch.topk(flat, min(count, len(flat))).indices)


def _home(value: Any) -> Any:
    """Return a copy on the host of an array, or of those in a list; anything else as it is."""
    if type(value) is DeviceArray:
        return np.asarray(value)
    return type(value)(map(_home, value)) if type(value) in (list, tuple) else value


def _product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    dtype = torch.promote_types(one.dtype, other.dtype)
    return one.to(dtype) @ other.to(dtype)


COMPUTED: Mapping[np.ufunc, Callable[..., torch.Tensor]] = {
    np.add: torch.add,
    np.subtract: torch.sub,
    np.multiply: torch.mul,
    np.divide: torch.true_divide,
    np.negative: torch.neg,
    np.absolute: torch.abs,
    np.log: torch.log,
    np.maximum: torch.maximum,
    np.minimum: torch.minimum,
    np.fmax: torch.fmax,
    np.greater: torch.gt,
    np.greater_equal: torch.ge,
    np.less: torch.lt,
    np.less_equal: torch.le,
    np.equal: torch.eq,
    np.not_equal: torch.ne,
    np.bitwise_and: torch.bitwise_and,
    np.bitwise_or: torch.bitwise_or,
    np.invert: torch.bitwise_not,
    np.isfinite: torch.isfinite,
    np.matmul: _product,
    np.vecdot: torch.linalg.vecdot,
}
"""NumPy's functions of each value, and its products -> torch's."""
REDUCED: Mapping[tuple[str, np.ufunc], str] = {("reduceat", np.add): "sum", ("reduceat", np.fmax): "amax"}
"""The reductions of runs -> torch's names of them."""


def _joined(self: DeviceArray, arrays: Sequence[Any], axis: int = 0) -> DeviceArray:
    return DeviceArray(torch.cat([self._put(one) for one in arrays], axis))


def _zeros(self: DeviceArray, shape: int | tuple[int, ...], dtype: Any = np.float64) -> DeviceArray:
    return DeviceArray(torch.zeros(shape, dtype=self._type(dtype), device=self.tensor.device))


def _without_nan(self: DeviceArray, array: DeviceArray, *, copy: bool = True) -> DeviceArray:
    del self
    return DeviceArray(array.tensor.nan_to_num() if copy else array.tensor.nan_to_num_())


def _padded(self: DeviceArray, array: DeviceArray, width: Sequence[tuple[int, int]]) -> DeviceArray:
    del self
    return DeviceArray(pad(array.tensor, [size for ends in reversed(width) for size in ends]))


FUNCTIONS: Mapping[Any, Callable[..., DeviceArray]] = {
    np.concatenate: _joined,
    np.stack: lambda self, arrays, axis=0: DeviceArray(torch.stack([self._put(one) for one in arrays], axis)),
    np.where: lambda self, *args: DeviceArray(torch.where(*map(self._put, args))),
    np.flatnonzero: lambda _, array: DeviceArray(array.tensor.flatten().nonzero()[:, 0]),
    np.vdot: lambda self, one, other: DeviceArray((self._put(one) * self._put(other)).sum()),
    np.nan_to_num: _without_nan,
    np.pad: _padded,
    np.zeros_like: lambda _, array: DeviceArray(torch.zeros_like(array.tensor)),
    np.zeros: _zeros,
    np.asarray: lambda self, array: DeviceArray(self._put(array)),
    sliding_window_view: lambda _, array, length: DeviceArray(array.tensor.unfold(0, length, 1)),
}
"""NumPy's functions -> torch's, called with the array that they meet, or are told to be `like`, and their arguments."""
