"""Small Qt parts."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet.widgets.style import Message


def test_a_shorter_sentence_takes_less_room_again(qtbot: Any) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    message = Message(parent=window)
    QVBoxLayout(window).addWidget(message)
    window.resize(300, 400)
    message.say("One line.")
    window.show()
    low = message.height()
    message.say("A sentence that is long enough to take several lines. " * 4)
    assert message.height() > 3 * low
    message.say("One line.")
    assert message.height() == low
