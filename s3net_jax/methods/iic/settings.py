from dataclasses import dataclass


@dataclass(frozen=True)
class IICConfig:
    name: str = "iic"
    width: int = 64
    overclusters: int = 15
    crops: int = 1
    crop_side: float = 1.0
    displacement: int = 10
    collapsed: bool = False
    lambda_a: float = 1.0
    lambda_b: float = 1.5
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.125
    flip: bool = True
    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
