for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const key = `${button.closest(".legend").dataset.legend} ${button.dataset.group}`;
    const pressed = !(off.delete(key) || !off.add(key));
    button.setAttribute("aria-pressed", String(!pressed));
    draw();
  });
}
