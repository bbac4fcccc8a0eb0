"""The units that are known: names, dimensions and exact factors to base units.

Base units are m, kg, s, A, mol, kelvin, bit, deg, month and one per currency. Factors are exact by definition
(international foot and pound, thermochemical calorie).
"""

from __future__ import annotations

from fractions import Fraction

Entry = tuple[dict[str, int], Fraction]

TABLE: dict[str, Entry] = {}


def _add(names: str, dimensions: dict[str, int], factor: str | Fraction = "1") -> None:
    for name in names.split():
        TABLE[name] = (dimensions, Fraction(factor))


_PREFIXES = {
    "n": "1e-9", "μ": "1e-6", "u": "1e-6", "m": "1e-3", "c": "1e-2", "d": "1e-1", "k": "1e3", "M": "1e6", "G": "1e9",
    "T": "1e12",
}  # fmt: skip
_LONG = {"nano": "n", "micro": "μ", "milli": "m", "centi": "c", "deci": "d", "kilo": "k", "mega": "M", "giga": "G",
         "tera": "T"}  # fmt: skip


def _metric(symbols: str, words: str, dimensions: dict[str, int], factor: str, prefixes: str) -> None:
    """A unit with its metric prefixes, as symbol (km) and word (kilometers)."""
    _add(symbols, dimensions, factor)
    for word in words.split():
        _add(f"{word} {word}s", dimensions, factor)
    for prefix in prefixes.split():
        scaled = Fraction(factor) * Fraction(_PREFIXES[prefix])
        for symbol in symbols.split():
            _add(prefix + symbol, dimensions, scaled)
        for long, short in _LONG.items():
            if short == prefix or (short == "μ" and prefix == "u"):
                for word in words.split():
                    _add(f"{long}{word} {long}{word}s", dimensions, scaled)


_metric("m", "meter metre", {"m": 1}, "1", "n μ u m c d k")
_metric("g", "gram gramme", {"kg": 1}, "1/1000", "μ u m k")
_metric("s", "second", {"s": 1}, "1", "n μ u m")
_metric("L l", "liter litre", {"m": 3}, "1/1000", "m c d k")
_metric("J", "joule", {"kg": 1, "m": 2, "s": -2}, "1", "k M m")
_metric("W", "watt", {"kg": 1, "m": 2, "s": -3}, "1", "m k M G")
_metric("N", "newton", {"kg": 1, "m": 1, "s": -2}, "1", "m k")
_metric("Pa", "pascal", {"kg": 1, "m": -1, "s": -2}, "1", "k M")
_metric("V", "volt", {"kg": 1, "m": 2, "s": -3, "A": -1}, "1", "m k")
_metric("A", "ampere amp", {"A": 1}, "1", "m μ")
_metric("Ω", "ohm", {"kg": 1, "m": 2, "s": -3, "A": -2}, "1", "k M")
_metric("Hz", "hertz", {"s": -1}, "1", "k M G")
_metric("mol", "mole", {"mol": 1}, "1", "m")
_metric("eV", "electronvolt", {"kg": 1, "m": 2, "s": -2}, "1.602176634e-19", "k M G")
_metric("B", "byte", {"bit": 1}, "8", "k M G T")
_metric("bit", "bit", {"bit": 1}, "1", "k M G")
_add("KB", {"bit": 1}, "8000")
_add("sec secs", {"s": 1})
_add("min mins minute minutes", {"s": 1}, "60")
_add("h hr hrs hour hours", {"s": 1}, "3600")
_add("day days d", {"s": 1}, "86400")
_add("week weeks wk wks", {"s": 1}, "604800")
_add("fortnight fortnights", {"s": 1}, "1209600")
_add("month months", {"month": 1})
_add("year years yr yrs", {"month": 1}, "12")
_add("decade decades", {"month": 1}, "120")
_add("century centuries", {"month": 1}, "1200")
_add("inch inches in", {"m": 1}, "0.0254")
_add("foot feet ft", {"m": 1}, "0.3048")
_add("yard yards yd yds", {"m": 1}, "0.9144")
_add("mile miles mi", {"m": 1}, "1609.344")
_add("kph kmh kmph", {"m": 1, "s": -1}, "5/18")
_add("mph", {"m": 1, "s": -1}, "0.44704")
_add("mps", {"m": 1, "s": -1})
_add("hectare hectares ha", {"m": 2}, "10000")
_add("acre acres", {"m": 2}, "4046.8564224")
_add("cc", {"m": 3}, "1e-6")
_add("gallon gallons gal", {"m": 3}, "0.003785411784")
_add("quart quarts qt", {"m": 3}, "0.000946352946")
_add("pint pints pt", {"m": 3}, "0.000473176473")
_add("tonne tonnes", {"kg": 1}, "1000")
_add("lb lbs", {"kg": 1}, "0.45359237")
_add("ounce ounces oz", {"kg": 1}, "0.028349523125")
_add("cal calorie calories", {"kg": 1, "m": 2, "s": -2}, "4.184")
_add("kcal", {"kg": 1, "m": 2, "s": -2}, "4184")
_add("Wh", {"kg": 1, "m": 2, "s": -2}, "3600")
_add("kWh", {"kg": 1, "m": 2, "s": -2}, "3600000")
_add("atm", {"kg": 1, "m": -1, "s": -2}, "101325")
_add("bar bars", {"kg": 1, "m": -1, "s": -2}, "100000")
_add("rad radian radians", {"rad": 1})  # no rational factor leads to degrees: compared apart
_add("°", {"deg": 1})
_add("degree degrees deg", {"deg": 1})
_add("arcmin arcminute arcminutes", {"deg": 1}, "1/60")
_add("arcsec arcsecond arcseconds", {"deg": 1}, "1/3600")
_add("$ dollar dollars USD usd buck bucks", {"USD": 1})
_add("cent cents ¢", {"USD": 1}, "1/100")
_add("€ euro euros EUR eur", {"EUR": 1})
_add("£ GBP gbp quid", {"GBP": 1})
_add("pence penny pennies", {"GBP": 1}, "1/100")
_add("¥ yen JPY", {"JPY": 1})
_add("yuan RMB CNY", {"CNY": 1})
_add("₹ rupee rupees INR", {"INR": 1})
