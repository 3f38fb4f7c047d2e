// Unfold writes an icon as the word its font draws. It is read out only where nothing else names the link or the button.
document.addEventListener("DOMContentLoaded", () => {
    for (const icon of document.querySelectorAll(".material-symbols-outlined")) {
        const named = icon.closest("a, button");
        if (!named || named.title || named.ariaLabel || named.textContent.trim() !== icon.textContent.trim()) icon.ariaHidden = "true";
    }
});
