// Sets the theme that was chosen last, before anything is painted. Without a choice the system's own is followed.
document.documentElement.dataset.theme = localStorage.getItem("tandem-theme") ?? "";
