"""The official files of the named data sets: names, checksums and addresses.

Sources: LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist; Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747;
Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html. The sums are those of the files that these authors published.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """The official files of a data set.

    Attributes:
        folder: usual name of its folder.
        files: SHA-256 of each file that is read; of the unpacked file, where an .xz is read as well.
        urls: addresses that stand before a file's name, tried in turn.
        archive: name and SHA-256 of the .tar.gz that is downloaded in place of the files; empty if there is none.
        inside: folder of the files in the archive.
        packed: whether a file may lie there as .xz.
    """

    folder: str
    files: Mapping[str, str]
    urls: tuple[str, ...]
    archive: tuple[str, str] = ("", "")
    inside: str = ""
    packed: bool = False


SOURCES: Mapping[str, Source] = {
    "mnist": Source(
        folder="mnist",
        files={
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        urls=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ),
    "fashion_mnist": Source(
        folder="fashion-mnist",
        files={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        urls=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
    ),
    "cifar10": Source(
        folder="cifar-10",
        files={
            "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
            "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
            "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
            "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
            "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
            "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
        },
        urls=("https://www.cs.toronto.edu/~kriz/",),
        archive=("cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
        inside="cifar-10-batches-py",
        packed=True,
    ),
}
